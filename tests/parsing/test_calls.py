"""The one writer of calls."""

import json
from typing import Any

import pytest

from proxy.parsing.calls import CallWriter, ToolIndex, openai_tool_calls
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Content, TextEvent
from proxy.parsing.grammars.raw_values import SHORT_LIMIT, RawValue
from proxy.parsing.schema import Kinds
from tests.parsing.cuts import TOOLS, cuts, tool


@pytest.mark.parametrize(
    "tools",
    [
        None,
        5,
        "x",
        [],
        [None],
        [5],
        ["x"],
        [{}],
        [{"function": None}],
        [{"function": {"name": 5}}],
        [{"function": {"name": ""}}],
        {"a": 1},
        [{"name": "x" * 1025}],
    ],
)
def test_what_is_no_tool_is_passed_over(tools: Any) -> None:
    assert not ToolIndex(tools)
    assert ToolIndex(tools).names == ()


def test_a_bare_function_is_a_tool() -> None:
    assert ToolIndex([{"name": "x", "parameters": 5}, None]).names == ("x",)


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("write", "write"),
        ("functions.write", "write"),
        ("Write", "write"),
        ("list-drones", "list_drones"),
        ("List Drones", "list_drones"),
        ("functions.list.drones", "list_drones"),
        ("writes", None),
    ],
)
def test_names_are_recognised(written: str, declared: str | None) -> None:
    assert ToolIndex(TOOLS).resolve(written) == declared


def test_a_schema_is_read_when_its_tool_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []

    def properties(parameters: object) -> dict[str, Kinds]:
        read.append(parameters)
        return {}

    monkeypatch.setattr("proxy.parsing.calls.properties", properties)
    tools = ToolIndex([{"name": name, "parameters": name} for name in "ab"])
    assert read == []
    assert tools.kinds("a") == tools.kinds("a") == tools.kinds("c") == {}
    assert read == ["a"]


def test_names_that_are_alike_are_kept_apart() -> None:
    tools = ToolIndex([tool("a_b"), tool("a-b")])
    assert [tools.resolve(name) for name in ("a_b", "a-b", "A_B")] == ["a_b", "a-b", None]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (" launch ", "launch"),
        ("functions.launch", "launch"),
        ("mcp:x/y.z-1", "mcp:x/y.z-1"),
        ("a b", None),
        ("…", None),
        ("", None),
    ],
)
def test_undeclared_names_are_forwarded(written: str, name: str | None) -> None:
    assert CallWriter(ToolIndex(TOOLS)).resolve_name(written) == name


def test_a_call_in_pieces() -> None:
    calls = CallWriter(ToolIndex(TOOLS))
    calls.start("write", "id1")
    calls.key("path")
    calls.write('"a')
    assert calls.take_events() == [CallStart(0, "id1", "write"), CallArguments(0, '{"path":"a')]
    assert calls.take_events() == []
    calls.write('"')
    calls.end()
    assert calls.take_events() == [CallArguments(0, '"}'), CallEnd(0, True)]
    calls.start("list_drones")
    calls.end()
    calls.start("list_drones")
    calls.abort()
    assert calls.take_events() == [
        CallStart(1, None, "list_drones"),
        CallArguments(1, "{}"),
        CallEnd(1, True),
        CallStart(2, None, "list_drones"),
        CallEnd(2, False),
    ]
    calls.discard()
    assert calls.count == 0


def raw(name: str, text: str) -> Any:
    """What a raw value becomes; the same in every cutting."""
    found = set()
    for pieces in cuts(text):
        calls = CallWriter(ToolIndex(TOOLS))
        calls.start("water")
        value = RawValue(calls, name)
        for piece in pieces:
            value.write(piece)
        value.end()
        calls.end()
        found.add(
            "".join(event.text for event in calls.take_events() if isinstance(event, CallArguments))
        )
    assert len(found) == 1
    return json.loads(found.pop())[name]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("plant", "fern", "fern"),
        ("plant", "fern\n", "fern"),
        ("plant", "fern\r\n", "fern"),
        ("plant", "fern\n\n", "fern\n"),
        ("plant", "fern\r", "fern\r"),
        ("plant", "a\rb\r\nc", "a\rb\r\nc"),
        ("plant", "", ""),
        ("plant", 'a"\\\x00é🚀</x>', 'a"\\\x00é🚀</x>'),
        ("plant", "null", "null"),
        ("mood", "5", "5"),
        ("litres", "5\n", 5),
        ("litres", "five", "five"),
        ("note", "null\n", None),
        ("note", "up", "up"),
        ("note", "x" * SHORT_LIMIT + "yz", "x" * SHORT_LIMIT + "yz"),
        ("days", "\n [1, 2]" + " " * SHORT_LIMIT, [1, 2]),
    ],
)
def test_a_raw_value(name: str, text: str, value: Any) -> None:
    assert raw(name, text) == value


def test_a_value_that_may_be_a_list_is_held_only_if_it_begins_like_one() -> None:
    tools = ToolIndex([tool("f", a={"type": ["string", "array"]})])
    for text, held in (("[" + "1, " * SHORT_LIMIT, True), ("see " + "1, " * SHORT_LIMIT, False)):
        calls = CallWriter(tools)
        calls.start("f")
        RawValue(calls, "a").write(text)
        assert ("1, 1, " in str(calls.take_events())) is not held


def test_entries() -> None:
    events: list[TextEvent] = [
        CallStart(0, None, "f"),
        CallArguments(0, "{"),
        Content("x"),
        CallArguments(0, "}"),
        CallEnd(0, True),
    ]
    assert openai_tool_calls(events) == [
        {"id": None, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
