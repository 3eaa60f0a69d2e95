"""The list of dialects, and what is made with it."""

import re
from typing import Any

import pytest

import proxy.dialects
from proxy.dialects import DIALECTS, Parser, chosen, parse
from tests.stream.cuts import TOOLS, tool

CALL = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'


def test_each_is_listed_under_its_name() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())


def test_each_file_shows_its_format() -> None:
    for name in DIALECTS:
        assert "SAMPLE:" in (getattr(proxy.dialects, name).__doc__ or "")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_reads_its_own_sample(dialect: str) -> None:
    sample = getattr(proxy.dialects, dialect).__doc__.split("SAMPLE:\n")[1].split("\n\nSeen")[0]
    message = parse(sample, tools=[tool("read_file"), tool("write_file")], dialect=dialect)
    assert message["content"] is None
    assert len(message["tool_calls"]) == 1


def test_chosen() -> None:
    assert chosen("auto") == list(DIALECTS.values())
    assert chosen("hermes") == [DIALECTS["hermes"]]
    assert chosen(["hermes", "qwen3_coder"]) == chosen(("qwen3_coder", "hermes"))
    assert chosen(["hermes", "auto"]) == chosen("auto")
    with pytest.raises(ValueError, match=r"'nobody'.*auto.*qwen3_coder.*hermes"):
        chosen(["hermes", "nobody"])
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
    assert first == {"id": first["id"], "type": "function", "function": {"name": "list_drones", "arguments": "{}"}}
