"""Every recorded answer of the dialects that are there, in every cutting."""

from typing import Any

import pytest

from proxy.dialects import DIALECTS, Parser
from tests.corpus.score import lines, problems
from tests.stream.cuts import Call, Seen, always

FILES = ("qwen3_coder", "hermes", "reasoning", "plain", "malformed")

LATER = {
    "reasoning-021": "<reasoning>, a doubtful tag",
    "malformed-024": "DeepSeek V3.1",
    "malformed-027": "GLM",
    "malformed-029": "MiniMax",
}
"""Lines of dialects that are not there yet."""

CASES = [case for case in lines(*FILES) if case["id"] not in LATER]


def read(case: dict[str, Any], dialect: str, thinking: str) -> Seen:
    tools = [] if case.get("tool_choice") == "none" else case["tools"]
    return always(lambda: Parser(tools, dialect, thinking), case["text"], case["finish_reason"])  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_read_as_it_was_meant(case: dict[str, Any]) -> None:
    assert problems(case, read(case, "auto", case["thinking"])) == []


@pytest.mark.parametrize("case", [case for case in CASES if case["dialect"] in DIALECTS], ids=lambda case: case["id"])
def test_read_by_its_dialect_alone(case: dict[str, Any]) -> None:
    assert problems(case, read(case, case["dialect"], "tags")) == []


def test_later_lines_are_still_to_be_won() -> None:
    assert LATER.keys() <= {case["id"] for case in lines(*FILES)}


RIGHT = next(case for case in CASES if case["id"] == "hermes-009")
GOOD = Seen("Checking the hangar.\n\nBack in a second.", (Call("list_drones", {}),))


@pytest.mark.parametrize(
    "wrong",
    [
        Seen("Checking the hangar.", GOOD.calls),
        Seen(GOOD.content, ()),
        Seen(GOOD.content, (Call("list_drones", {"x": True}),)),
        Seen(GOOD.content, (Call("list_drones", {}, whole=False),)),
        Seen(GOOD.content, (Call("list_drone", {}),)),
        Seen(GOOD.content, GOOD.calls, "a thought"),
    ],
)
def test_the_scorer_sees_what_is_wrong(wrong: Seen) -> None:
    assert problems(RIGHT, GOOD) == []
    assert problems(RIGHT, wrong)


@pytest.mark.parametrize(("good", "bad"), [(1, True), (2.0, 2.5), ([1], ["1"]), (None, "null")])
def test_the_scorer_tells_types_apart(good: Any, bad: Any) -> None:
    case = {"expect": {"content": "x ", "content_exact": True, "reasoning": None, "tool_calls": [{"name": "f", "arguments": {"a": good}}]}}
    assert problems(case, Seen("x ", (Call("f", {"a": good}),))) == []
    assert problems(case, Seen("x ", (Call("f", {"a": bad}),)))
    assert problems(case, Seen("x", (Call("f", {"a": good}),)))
