"""The other way round: what tells of calls makes none, and no letter of it is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.dialects.thoughts import REASONING_TAGS
from tests.corpus.score import lines
from tests.parsing.cuts import Seen, always, events_of, seen, tool

ROOT = Path(__file__).parents[2]
NAMES = (
    "read_file",
    "write",
    "write_note",
    "write_file",
    "log_water",
    "water",
    "list_drones",
    "plan_route",
    "set_alarm",
    "run_sql",
    "mix",
)
TOOLS = [
    tool(name, path={"type": "string"}, content={"type": "string"}, text={"type": "string"})
    for name in (*NAMES, *(f"tool_{number}" for number in range(19)))
]
CASES = list(lines(*(path.stem for path in (ROOT / "tests/corpus").glob("*.jsonl"))))
MODELS = sorted({case["text"] for case in CASES if len(case["text"]) < 4000})
VARIOUS = (
    "qwen3_coder",
    "hermes",
    "glm",
    "anthropic",
    "deepseek_v31",
    "kimi_k2",
    "mistral",
    "harmony",
    "lfm2",
)


def pieces(text: str, size: int = 997) -> Iterator[str]:
    return (text[place : place + size] for place in range(0, len(text), size))


def made(text: str) -> Seen:
    parser = Parser(TOOLS)
    found = seen(events_of(parser, pieces(text)))
    assert not parser.grammar_failures
    return found


def test_thirty_tools() -> None:
    assert len(TOOLS) == 30


ENDS_IT = {
    "anthropic": "</parameter>\n</invoke>\n</tool_call>",
    "glm": "\n<arg_value>fig</arg_value>\n</tool_call>",
}
"""Damaged calls that end as this one does, but have no beginning of its kind: nobody can know."""


def test_the_corpus_in_backticks() -> None:
    for text in MODELS:
        if text.startswith(("<", "[")) and "`" not in text and "\n\n" not in text:
            quoted = f"Write `{text}` then."
            assert made(quoted) == Seen(quoted)


MARKERS = sorted(
    {
        marker
        for one in DIALECTS.values()
        for marker in (*one.openers, *one.headers, *one.end_tokens)
    }
)


def test_markers_in_prose() -> None:
    for marker in MARKERS:
        for text in (
            f"The marker {marker.strip()} is used.",
            f"It begins with `{marker.strip()}` then.",
            f"{marker.strip()} is a marker.",
        ):
            assert made(text) == Seen(text) or marker in SILENT, text


SILENT = {one.closer for one in REASONING_TAGS} | {
    header
    for one in DIALECTS.values()
    for header in one.headers
    if not one.header_grammar or header.endswith("<|message|>")
}
"""At the beginning of an answer they say nothing."""

PLAIN = (
    "<reasoning>\n  <step/>\n</reasoning>\n<answer/>",
    "<response>\n  <status>ok</status>\n</response>",
    "<tools>\n  <write>x</write>\n</tools>",
    "<tools><tool name='write'/></tools>",
    (
        '<tools>\n{"name": "write", "parameters": {"type": "object", "properties": {"path": '
        '{"type": "string"}}}}\n</tools>'
    ),
    (
        '<tools>\n{"type": "function", "function": {"name": "write", "description": "Writes.", '
        '"parameters": {}}}\n</tools>'
    ),
    '<tools>[{"name": "list_drones"}]</tools>',
    "> ```\n> <tool_call>\n> <function=list_drones></function>\n> </tool_call>\n> ```\nSo.",
    "- ```\n  <tool_call>list_drones</tool_call>\n  ```\n- So.",
    "1. a\n\n    ```\n    <tool_call>list_drones</tool_call>\n    ```\n2. b",
    '{"response": "text"}',
    '{"tool_calls": []}',
    "write",
    "write a letter",
    "write: a letter",
    "write(1)",
    "water\n\nis wet",
    "[write](docs/write.md)",
    ">>> write\n'x'",
    ">>> import this",
    "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> write\n",
    "functools.partial(write)",
    "Action: write a letter",
    "all\nof it",
    "function call<role>",
    "[THINK about it]",
    "print(write)",
    "to=user",
    "call: write {a letter}",
    "call:write",
    "a | b <|> c",
)


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_answers(text: str) -> None:
    assert always(lambda: Parser(TOOLS), text) == Seen(text)
