"""Which tools may be called, and whether one must be."""

from typing import Any

import pytest

from proxy.chat_request.tool_choice import ToolChoice, parse
from proxy.errors import BadRequest

TOOLS: list[Any] = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
TOOLS += [
    {"type": "custom", "custom": {"name": "c"}},
    {"type": "odd"},
    {"type": "function", "function": {"name": 5}},
]
TOOLS += [{"type": "function", "name": "flat", "parameters": {}}]
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "required", "tools": [TOOLS[0], TOOLS[2], 5, {"type": "odd"}]},
}


def function(name: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("any", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        (function("f"), ToolChoice("required", frozenset({"f"}))),
        ({"type": "function", "name": "g"}, ToolChoice("required", frozenset({"g"}))),
        (function("flat"), ToolChoice("required", frozenset({"flat"}))),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice("required", frozenset({"c"}))),
        (ALLOWED, ToolChoice("required", frozenset({"f", "c"}))),
        (
            {"allowed_tools": {"mode": "auto", "tools": [TOOLS[0]]}},
            ToolChoice("auto", frozenset({"f"})),
        ),
        ({"allowed_tools": {"tools": "x"}}, ToolChoice()),
        ({"type": "x"}, ToolChoice()),
        (function(5), ToolChoice()),
    ],
)
def test_what_is_chosen(choice: Any, meant: ToolChoice) -> None:
    assert parse({"tools": TOOLS, "tool_choice": choice}) == meant


@pytest.mark.parametrize(
    "choice",
    [
        function("h"),
        {"type": "function", "name": "F"},
        {"allowed_tools": {"tools": [TOOLS[0], function("h")]}},
    ],
)
@pytest.mark.parametrize("tools", [TOOLS, [], None])
def test_a_tool_that_is_not_declared(choice: Any, tools: Any) -> None:
    with pytest.raises(
        BadRequest, match=r"`tool_choice` names '.+', which `tools` does not declare"
    ) as caught:
        parse({"tools": tools, "tool_choice": choice})
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("choice", "permitted"),
    [
        (ToolChoice(), {"f", "g", "undeclared"}),
        (ToolChoice("required"), {"f", "g", "undeclared"}),
        (ToolChoice("none"), set()),
        (ToolChoice("auto", frozenset({"f"})), {"f"}),
        (ToolChoice("required", frozenset({"g"})), {"g"}),
    ],
)
def test_what_may_be_called(choice: ToolChoice, permitted: set[str]) -> None:
    assert {name for name in ("f", "g", "undeclared") if choice.permits(name)} == permitted


def test_the_error_of_an_answer_without_the_required_call() -> None:
    named = ToolChoice("required", frozenset({"g", "f"}))
    without = (
        "`tool_choice` requires a call of 'f' or 'g', but the model answered without it; "
        "the backend does not enforce it"
    )
    assert named.unmet_reason([]) == without
    assert "the model called 'h', 'i' instead" in (named.unmet_reason(["h", "i"]) or "")
    for free in (
        ToolChoice(),
        ToolChoice("none"),
        ToolChoice("required"),
        ToolChoice("auto", frozenset({"f"})),
    ):
        assert free.unmet_reason([]) is None
