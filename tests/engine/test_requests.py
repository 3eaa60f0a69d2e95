"""Requests as clients send them, some of which llama.cpp would refuse as they are."""

import json
from typing import Any

import pytest

from proxy.app import Bridge
from tests.asgi import ask, without_id
from tests.engine.conversation import CALL, LEAK, TOOLS, Answer, question, streamed, whole
from tests.engine.test_calls import both


@pytest.fixture(params=["leaking", "native"])
def bridge(request: pytest.FixtureRequest) -> Bridge:
    bridge: Bridge = request.getfixturevalue(request.param)
    return bridge


def grammar(text: str) -> str:
    return "root ::= " + json.dumps(text)


async def test_a_grammar_beside_tools_holds_for_the_text_and_its_calls_are_calls(
    bridge: Bridge,
) -> None:
    assert await both(bridge, grammar=grammar("I say " + LEAK)) == Answer(
        "I say ", None, CALL.calls, "tool_calls"
    )
    assert await both(bridge, grammar=grammar("no call")) == Answer("no call")


async def test_a_grammar_beside_a_call_that_must_come_is_refused_with_the_reason(
    bridge: Bridge,
) -> None:
    refused = await ask(bridge, body=question(grammar=grammar("x"), tool_choice="required"))
    assert (refused.status, refused.headers["x-should-retry"]) == (400, "false")
    assert (
        without_id(refused.json)["error"]["message"]
        == "Cannot use custom grammar constraints with tools."
    )


USER = question()["messages"][0]
BEGUN = {"role": "assistant", "content": "I begin"}


@pytest.mark.parametrize(
    ("messages", "more"),
    [
        ([USER], {"tools": []}),
        ([USER], {"tools": [], "tool_choice": "auto", "parallel_tool_calls": False}),
        ([USER, USER], {}),
        ([USER, {"role": "assistant", "content": None}, USER], {}),
        ([USER, {"role": "user", "content": None}, USER], {}),
        ([{"role": "system", "content": None}, USER], {}),
        ([USER, BEGUN, {"role": "user", "content": "The previous response was interrupted."}], {}),
        ([USER, BEGUN], {"tool_choice": "none"}),
        ([USER, {"role": "assistant", "content": "one"}, BEGUN], {"tool_choice": "none"}),
        (
            [USER],
            {
                "store": False,
                "tools": [TOOLS[0] | {"function": TOOLS[0]["function"] | {"strict": False}}],
            },
        ),
    ],
)
async def test_what_opencode_sends_is_accepted(
    bridge: Bridge, messages: Any, more: dict[str, Any]
) -> None:
    asked = question(messages=messages, max_tokens=3) | more
    assert streamed(await ask(bridge, body=asked | {"stream": True})).finish in ("length", "stop")
    assert whole(await ask(bridge, body=asked)).finish in ("length", "stop")
