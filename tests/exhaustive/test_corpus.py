"""Every recorded answer, in every cutting."""

from typing import Any

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.parsing.dialect import ModelHint
from proxy.parsing.parser import ThinkingMode
from tests.corpus.score import HERE, lines, problems
from tests.parsing.cuts import Call, Seen, always, cuts, few

CASES = list(lines(*sorted(path.stem for path in HERE.glob("*.jsonl"))))

DOUBTFUL = {
    "reasoning-021": (
        ModelHint(model="reasoning-8b"),
        "ordinary XML, unless the model is known for it",
    ),
    "generic_json-010": (
        ModelHint(model="llama.cpp-generic"),
        "an answer in JSON, unless the model is known for it",
    ),
}
"""Policies that we have decided otherwise: text, unless there is such a hint."""


def read(
    case: dict[str, Any], dialect: str, thinking: ThinkingMode, hint: ModelHint | None = None
) -> Seen:
    tools = [] if case.get("tool_choice") == "none" else case["tools"]
    cuttings = cuts(case["text"]) if dialect == "auto" else few(case["text"])
    return always(
        lambda: Parser(tools, dialect, thinking, hint or ModelHint()),
        case["text"],
        case["finish_reason"],
        cuttings,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_read_as_it_was_meant(case: dict[str, Any]) -> None:
    hint, _ = DOUBTFUL.get(case["id"], (None, ""))
    assert problems(case, read(case, "auto", case["thinking"], hint)) == []


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["id"] in DOUBTFUL], ids=lambda case: case["id"]
)
def test_without_a_hint_the_doubtful_is_text(case: dict[str, Any]) -> None:
    assert read(case, "auto", case["thinking"]) == Seen(case["text"])


NAMED = [case for case in CASES if case["dialect"] in DIALECTS and case["id"] not in DOUBTFUL]


@pytest.mark.parametrize("case", NAMED, ids=lambda case: case["id"])
def test_read_by_its_dialect_alone(case: dict[str, Any]) -> None:
    assert problems(case, read(case, case["dialect"], "tags")) == []


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


HALF = next(case for case in CASES if case["expect"].get("partial_last_call"))


@pytest.mark.parametrize("arguments", ['{"path":"b', '{"path":"a","body":"cut herx', "{}"])
def test_the_scorer_sees_half_a_call(arguments: str) -> None:
    name, thoughts = HALF["expect"]["tool_calls"][-1]["name"], HALF["expect"]["reasoning"] or ""
    good = '{"path":"a","body":"cut he'
    assert problems(HALF, Seen("", (Call(name, good, whole=False),), thoughts)) == []
    assert problems(HALF, Seen("", (Call(name, arguments, whole=False),), thoughts))
    assert problems(HALF, Seen("", (Call(name, good),), thoughts))
    assert problems(HALF, Seen("", (), thoughts))


@pytest.mark.parametrize(("good", "bad"), [(1, True), (2.0, 2.5), ([1], ["1"]), (None, "null")])
def test_the_scorer_distinguishes_types(good: Any, bad: Any) -> None:
    case = {
        "expect": {
            "content": "x ",
            "content_exact": True,
            "reasoning": None,
            "tool_calls": [{"name": "f", "arguments": {"a": good}}],
        }
    }
    assert problems(case, Seen("x ", (Call("f", {"a": good}),))) == []
    assert problems(case, Seen("x ", (Call("f", {"a": bad}),)))
    assert problems(case, Seen("x", (Call("f", {"a": good}),)))
