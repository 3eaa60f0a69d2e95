"""Somebody goes away in the middle: the client, and the slot is free; the server, and the client
is told, and the next is served.
"""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.app import Bridge
from proxy.llama_server import ProcessState
from proxy.settings import Settings, load
from tests.asgi import Call, ask, without_id
from tests.engine.bridges import before, child, opened, place
from tests.engine.conversation import CALL, Answer, endless, question, streamed, whole
from tests.engine.slots import at_work, idle
from tests.patience import PROMPT

BROKEN = {
    "message": ("lost the connection to the backend in the middle of the answer (connection lost)"),
    "type": "server_error",
    "param": None,
    "code": "answer_interrupted",
}


def kill(bridge: Bridge) -> None:
    pid = child(bridge).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_frees_the_slot(
    single: Bridge, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level(logging.INFO, "llama-bridge")
    call = Call(single, body=endless(stream=stream))
    await at_work(single)
    call.hang_up()
    began = time.monotonic()
    await call.done()
    assert time.monotonic() - began < PROMPT
    await idle(single)  # it would go on for half a minute
    assert not call.complete
    assert any(
        " POST /v1/chat/completions gone " in record.getMessage() for record in caplog.records
    )
    assert whole(await ask(single, body=question())) == CALL


async def test_a_client_that_hangs_up_while_its_prompt_is_read_frees_the_slot(
    single: Bridge,
) -> None:
    call = Call(single, body=question("word " * 14_000, stream=True))
    await at_work(single)
    call.hang_up()
    await call.done()
    await idle(single)


@pytest.fixture
async def theirs(leaking: Bridge) -> AsyncIterator[Bridge]:
    """The same server as somebody else's: nobody will start it again for this proxy."""
    async with opened(before(await place(leaking))) as bridge:
        yield bridge


async def test_a_stream_that_breaks_off_never_looks_finished(
    leaking: Bridge, theirs: Bridge
) -> None:
    """And the next question waits for the next child, also when nobody has noticed yet that this
    one is dead.
    """
    assert whole(await ask(leaking, body=question())) == CALL
    first = child(leaking).pid
    call = Call(theirs, body=endless(stream=True))
    await call.until(lambda call: len(call.messages) > 20)
    kill(leaking)
    await call.done()
    assert whole(await ask(leaking, body=question())) == CALL
    *chunks, last = call.data
    assert without_id(last) == {"error": BROKEN}
    assert all(choice["finish_reason"] is None for chunk in chunks for choice in chunk["choices"])
    assert call.complete
    assert child(leaking).pid != first


async def test_an_answer_that_breaks_off_unstreamed_is_a_502(
    leaking: Bridge, theirs: Bridge
) -> None:
    assert whole(await ask(leaking, body=question())) == CALL
    call = Call(theirs, body=endless())
    await at_work(leaking)
    kill(leaking)
    await call.done()
    assert (call.status, without_id(call.json)) == (502, {"error": BROKEN})
    assert streamed(await ask(leaking, body=question(stream=True))) == CALL


LONG = {"max_tokens": 3000, "stream_options": {"include_usage": True}}


async def killed_on_its_way(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> tuple[str, Answer]:
    """What was heard before, and the answer.

    It is fast, and may be done before it can be killed, but not every time.
    """
    caplog.set_level(logging.INFO, "llama-bridge")
    met, *_ = [
        (heard, answer)
        for heard, answer, way in [await _killed(bridge, caplog) for _ in range(4)]
        if way == "after restart"
    ]
    return met


async def _killed(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> tuple[str, Answer, str]:
    call = Call(bridge, body=endless(stream=True, **LONG))
    await call.until(lambda call: len(call.messages) > 20)
    heard = "".join(
        choice["delta"].get("content", "") for chunk in call.data for choice in chunk["choices"]
    )
    kill(bridge)
    answer = streamed(await call.done())
    return heard, answer, caplog.records[-1].getMessage().partition(" | recovered: ")[2]


async def test_a_stream_continues_after_a_restart(
    leaking: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    assert whole(await ask(leaking, body=question())) == CALL
    heard, answer = await killed_on_its_way(leaking, caplog)
    assert len(heard) > 20
    assert (answer.content or "").startswith(heard)
    assert len(answer.content or "") > len(heard)
    assert (answer.finish, answer.usage["completion_tokens"]) == ("length", 3000)


async def test_without_our_parser_the_text_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    """What the client has of it is left out."""
    async with opened(load({"TOOL_PARSING": "native"})) as bridge:
        expected = streamed(await ask(bridge, body=endless(stream=True, **LONG)))
        _, answer = await killed_on_its_way(bridge, caplog)
        assert answer == expected


async def test_also_when_nothing_of_it_was_sent_yet(leaking: Bridge) -> None:
    assert whole(await ask(leaking, body=question())) == CALL
    call = Call(leaking, body=endless(**LONG))
    await at_work(leaking)
    kill(leaking)
    answer = whole(await call.done())
    assert (answer.finish, answer.usage["completion_tokens"]) == ("length", 3000)


@pytest.mark.parametrize("stream", [True, False])
async def test_or_while_its_prompt_is_read(single: Bridge, stream: bool) -> None:
    assert whole(await ask(single, body=question())) == CALL
    # A prompt that the server knows already would be read too fast.
    new = f"{stream} " + "word " * 14_000
    call = Call(single, body=question(new + "List the files, please.", stream=stream))
    await at_work(single)
    kill(single)
    answered = await call.done()
    assert (streamed if stream else whole)(answered).finish in ("tool_calls", "stop")


async def test_who_comes_while_the_child_starts_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also after it has died without a single finished answer, when it rests before it starts
    again.
    """
    caplog.set_level(logging.INFO, "llama_bridge.child")
    async with opened(Settings()) as bridge:
        supervisor = child(bridge)
        early: list[Any] = [
            Call(bridge, body=endless(stream=True, **LONG)),
            Call(bridge, "/v1/models"),
            Call(bridge, "/props"),
        ]
        health = await ask(bridge, "/health")
        assert (health.status, health.json["reason"]) == (503, "our llama-server is starting")
        stream, *others = early
        assert [(await call.done()).status for call in others] == [200, 200]
        await stream.until(lambda call: len(call.messages) > 20)
        kill(bridge)
        assert streamed(await stream.done()).finish == "length"
        assert whole(await ask(bridge, body=question())) == CALL
        assert supervisor.state is ProcessState.READY
    said = [record.getMessage() for record in caplog.records]
    assert (
        sum(line.startswith("tiny-toolcaller is resting: killed by SIGKILL") for line in said) == 1
    )
