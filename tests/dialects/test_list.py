"""The list of dialects, and what is made with it."""

import re
from typing import Any

import pytest

from proxy.cli.main import main
from proxy.dialects import DIALECTS, Parser, parse, select
from proxy.parsing.dialect import ModelHint
from tests.parsing.cuts import TOOLS, tool

CALL = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'


def test_each_is_listed_under_its_name() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())


SAID = re.compile(r"read_file|write_file")


CALLING = [name for name in DIALECTS if name not in ("generic_response", "thoughts")]


@pytest.mark.parametrize("dialect", CALLING)
@pytest.mark.parametrize("mode", ["auto", "named"])
def test_each_reads_its_own_sample(dialect: str, mode: str) -> None:
    text = DIALECTS[dialect].sample
    tools = [
        tool("read_file", path={"type": "string"}),
        tool("write_file", path={"type": "string"}),
    ]
    message = parse(text, tools=tools, dialect="auto" if mode == "auto" else dialect)
    assert message["content"] is None
    (call,) = message["tool_calls"]
    said = SAID.search(text)
    assert said
    assert call["function"]["name"] == said[0]
    assert '"path":"notes.md"' in call["function"]["arguments"]


@pytest.mark.parametrize("dialect", CALLING)
def test_something_speaks_for_each(dialect: str) -> None:
    one = DIALECTS[dialect]
    assert one.model_pattern
    assert one.grammar or one.tentative_grammar
    assert all(one.fits(ModelHint(template=f"{{{{ {mark} }}}}")) for mark in one.template_markers)


def test_chosen() -> None:
    assert select("auto") == [one for one in DIALECTS.values() if not one.needs_hint]
    assert select("hermes") == [DIALECTS["hermes"]]
    assert select(["hermes", "qwen3_coder"]) == select(("qwen3_coder", "hermes"))
    assert select(["hermes", "auto"]) == select("auto")
    with pytest.raises(ValueError, match=r"'nobody'.*auto.*qwen3_coder.*hermes"):
        select(["hermes", "nobody"])
    with pytest.raises(ValueError, match="'nobody'"):
        Parser(dialect="nobody")


def test_one_dialect_leaves_the_others_alone() -> None:
    assert parse(CALL, tools=TOOLS, dialect="qwen3_coder") == {"role": "assistant", "content": CALL}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", {"content": "hello"}),
        ("", {"content": ""}),
        ("<think>a</think>", {"content": None, "reasoning_content": "a"}),
        ("<think>a</think>b", {"content": "b", "reasoning_content": "a"}),
    ],
)
def test_a_message(text: str, message: dict[str, Any]) -> None:
    assert parse(text, tools=TOOLS) == {"role": "assistant", **message}


def test_a_message_with_calls() -> None:
    message = parse("a" + CALL + CALL.replace('{"name', '{"id": "c1", "name'), tools=TOOLS)
    first, second = message["tool_calls"]
    assert message["content"] == "a"
    assert re.fullmatch("call_[A-Za-z]{24}", first["id"])
    assert second["id"] == "c1"
    assert first == {
        "id": first["id"],
        "type": "function",
        "function": {"name": "list_drones", "arguments": "{}"},
    }


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["dialects"])
    listed = capsys.readouterr().out
    for one in DIALECTS.values():
        assert f"\n{one.name}" in listed
        assert all(line in listed for line in one.sample.splitlines())
