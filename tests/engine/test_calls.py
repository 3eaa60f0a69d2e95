"""Calls as llama.cpp gives them, in text, in thoughts or parsed by itself: the client always
meets the same contract.
"""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from proxy.app import Bridge
from tests.asgi import ask
from tests.engine.conversation import (
    CALL,
    CONTENT,
    FINAL,
    LEAK,
    PLAIN,
    THOUGHTS,
    TOOLS,
    Answer,
    question,
    streamed,
    whole,
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        },
    },
}


@pytest.fixture(params=["leaking", "native"])
def bridge(request: pytest.FixtureRequest) -> Bridge:
    bridge: Bridge = request.getfixturevalue(request.param)
    return bridge


async def both(bridge: Bridge, **more: Any) -> Answer:
    """What is asked twice, streamed and not, has the same answer."""
    answers = (
        streamed(await ask(bridge, body=question(**more, stream=True))),
        whole(await ask(bridge, body=question(**more))),
    )
    assert answers[0] == answers[1]
    return answers[0]


async def test_leaked_calls_arrive_as_calls(
    leaking: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    assert await called(leaking, caplog) == {"1 parsed from text"}


async def test_calls_that_llama_cpp_reads_itself_arrive_as_they_are(
    native: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    assert await called(native, caplog) == {"1 native"}


async def called(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> set[str]:
    """How the log says that the calls were found."""
    caplog.set_level(logging.INFO, "llama-bridge")
    assert await both(bridge) == CALL
    lines = [record.getMessage() for record in caplog.records if record.name == "llama-bridge"]
    assert len(lines) == 2
    assert all(" POST /v1/chat/completions 200 whatever in 1" in line for line in lines)
    return {line.partition("| calls: ")[2] for line in lines}


async def test_the_answer_names_the_model_as_the_client_does(bridge: Bridge) -> None:
    assert (await ask(bridge, body=question())).json["model"] == "whatever"
    assert (await ask(bridge, body=question(model=None))).json["model"] == "tiny-toolcaller"


async def test_a_whole_turn(bridge: Bridge) -> None:
    """The client runs the tool and sends the call and the result back."""
    called = await ask(bridge, body=question())
    message = called.json["choices"][0]["message"]
    result = {
        "role": "tool",
        "tool_call_id": message["tool_calls"][0]["id"],
        "content": "a.py\nb.py",
    }
    messages = [*question()["messages"], message, result]
    assert await both(bridge, messages=messages) == Answer(FINAL)
    again = whole(
        await ask(
            bridge, body=question(messages=[*messages, {"role": "user", "content": "And now?"}])
        )
    )
    assert again.calls == CALL.calls
    assert not again.ids & whole(called).ids


async def test_thoughts_are_kept_apart(bridge: Bridge) -> None:
    assert await both(bridge, text="List the files. /think") == replace(CALL, thoughts=THOUGHTS)
    assert await both(bridge, text="Hello /think", tools=[]) == Answer(PLAIN, THOUGHTS)


@pytest.mark.parametrize(
    ("one", "commands"), [({}, ["ls -la", "pwd"]), ({"parallel_tool_calls": False}, ["ls -la"])]
)
async def test_calls_hidden_in_the_thoughts_are_run(
    hiding: Bridge, caplog: pytest.LogCaptureFixture, one: dict[str, bool], commands: list[str]
) -> None:
    caplog.set_level(logging.INFO, "llama-bridge")
    calls = tuple(("bash", f'{{"command":"{command}"}}') for command in commands)
    assert await both(hiding, **one) == Answer(None, "I look at the files.", calls, "tool_calls")
    assert f"| calls: {len(calls)} parsed from reasoning" in caplog.text


async def test_without_tools_nothing_is_a_call(bridge: Bridge) -> None:
    assert await both(bridge, tools=None) == Answer(PLAIN)
    assert await both(bridge, tool_choice="none") == Answer(CONTENT + LEAK)


@pytest.mark.parametrize(
    "choice", ["auto", "required", {"type": "function", "function": {"name": "bash"}}], ids=str
)
async def test_a_call_may_be_required_and_a_tool_be_named(bridge: Bridge, choice: Any) -> None:
    assert await both(bridge, tools=[WEATHER, *TOOLS], tool_choice=choice) == CALL


async def test_llama_cpp_is_held_to_the_tool_that_was_named(native: Bridge) -> None:
    """Even one that the model would never call by itself."""
    answer = await both(
        native,
        tools=[WEATHER, *TOOLS],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        max_tokens=500,
    )
    [(name, arguments)] = answer.calls
    assert (name, list(json.loads(arguments))) == ("weather", ["place"])
    assert answer.finish == "tool_calls"


async def test_one_call_at_a_time(bridge: Bridge) -> None:
    assert await both(bridge, parallel_tool_calls=False) == CALL


async def test_several_choices(bridge: Bridge) -> None:
    stream = await ask(
        bridge, body=question(n=2, stream=True, stream_options={"include_usage": True})
    )
    unstreamed = await ask(bridge, body=question(n=2))
    assert {choice["index"] for chunk in stream.data[:-1] for choice in chunk["choices"]} == {0, 1}
    assert len(unstreamed.json["choices"]) == 2
    for read, call in ((streamed, stream), (whole, unstreamed)):
        answers = [read(call, index) for index in range(2)]
        assert answers == [CALL, CALL]
        assert 2 * 30 < answers[0].usage["completion_tokens"] < 2 * 50
        assert not answers[0].ids & answers[1].ids


@pytest.mark.parametrize("stream", [True, False])
async def test_more_choices_than_the_server_has_slots_are_its_own_refusal(
    bridge: Bridge, stream: bool
) -> None:
    refused = await ask(bridge, body=question(n=5, stream=stream))
    assert (refused.status, refused.json["error"]["code"]) == (400, "backend_refused")
    assert (
        "Field 'n': Value must be between 1 <= value <= 2, but got 5"
        in refused.json["error"]["message"]
    )


async def test_logprobs_beside_tools(bridge: Bridge) -> None:
    """llama.cpp does not stream these: who asked for a stream gets its refusal, who did not gets
    them.
    """
    asked = await ask(bridge, body=question(logprobs=True, top_logprobs=2))
    assert whole(asked) == CALL
    assert (
        [len(token["top_logprobs"]) for token in _tokens(asked.json)]
        == [2] * len(_tokens(asked.json))
        != []
    )
    refused = await ask(bridge, body=question(logprobs=True, stream=True))
    assert (refused.status, refused.json["error"]["code"]) == (400, "backend_refused")


async def test_logprobs_without_tools(bridge: Bridge) -> None:
    unstreamed = await ask(bridge, body=question(tools=None, logprobs=True, top_logprobs=1))
    stream = await ask(
        bridge, body=question(tools=None, logprobs=True, top_logprobs=1, stream=True)
    )
    assert whole(unstreamed) == Answer(PLAIN)
    *chunks, _ = stream.data
    for bodies in ([unstreamed.json], chunks):
        assert "".join(token["token"] for body in bodies for token in _tokens(body)).startswith(
            PLAIN
        )


def _tokens(body: Any) -> list[Any]:
    return [
        token
        for choice in body["choices"]
        for token in (choice.get("logprobs") or {}).get("content", [])
    ]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (None, False),
        ({}, False),
        ({"include_usage": False}, False),
        ({"include_usage": True}, True),
    ],
    ids=str,
)
async def test_usage_comes_if_it_was_asked_for(bridge: Bridge, options: Any, wanted: bool) -> None:
    whole_usage = whole(await ask(bridge, body=question())).usage
    answer = streamed(await ask(bridge, body=question(stream=True, stream_options=options)))
    assert answer == CALL
    assert (answer.usage is not None) == wanted
    for usage in [whole_usage, *([answer.usage] if wanted else [])]:
        assert usage["prompt_tokens"] > 100
        assert 30 < usage["completion_tokens"] < 50
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert 0 <= usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]


async def test_an_answer_that_was_cut_ends_with_length(bridge: Bridge) -> None:
    """In prose, in the name, in the value and behind it: no cut makes a call that the model did
    not finish.
    """
    halves = 0
    for tokens in range(3, 36, 4):
        answer = await both(bridge, max_tokens=tokens)
        assert answer.finish == "length"
        assert answer.content
        assert (CONTENT + LEAK).startswith(answer.content)
        for _, arguments in answer.calls:
            assert '{"command":"ls -la'.startswith(arguments[:18])
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                json.loads(arguments)
            halves += 1
    assert halves > 2
