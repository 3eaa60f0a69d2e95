"""Somebody goes away in the middle: the client, and the slot is free; the server, and the client is told, and the next is served."""

import logging
import os
import signal
import time
from typing import Any

import pytest

from proxy.app import Bridge
from proxy.llama_server import State
from proxy.settings import Settings
from tests.asgi import Call, ask, without_id
from tests.real.bridges import child, opened
from tests.real.conversation import CALL, endless, question, streamed, whole
from tests.real.slots import at_work, idle

BROKEN = {
    "message": "the connection to the backend was lost in the middle of the answer (connection lost)",
    "type": "server_error",
    "param": None,
    "code": "broken_off",
}


def kill(bridge: Bridge) -> None:
    pid = child(bridge).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_frees_the_slot(single: Bridge, caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    caplog.set_level(logging.INFO, "llama-bridge")
    call = Call(single, body=endless(stream=stream))
    await at_work(single)
    call.hang_up()
    began = time.monotonic()
    await call.done()
    assert time.monotonic() - began < 3
    await idle(single)  # it would go on for half a minute
    assert not call.complete
    assert any(" POST /v1/chat/completions gone " in record.getMessage() for record in caplog.records)
    assert whole(await ask(single, body=question())) == CALL


async def test_a_client_that_hangs_up_while_its_prompt_is_read_frees_the_slot(single: Bridge) -> None:
    call = Call(single, body=question("word " * 14_000, stream=True))
    await at_work(single)
    call.hang_up()
    await call.done()
    await idle(single)


async def test_a_stream_that_breaks_off_never_looks_finished(leaking: Bridge) -> None:
    """And the next question waits for the next child, also when nobody has noticed yet that this one is dead."""
    assert whole(await ask(leaking, body=question())) == CALL
    first = child(leaking).pid
    call = Call(leaking, body=endless(stream=True))
    await call.until(lambda call: len(call.messages) > 20)
    kill(leaking)
    await call.done()
    assert whole(await ask(leaking, body=question())) == CALL
    *chunks, last = call.data
    assert without_id(last) == {"error": BROKEN}
    assert all(choice["finish_reason"] is None for chunk in chunks for choice in chunk["choices"])
    assert call.complete
    assert child(leaking).pid != first


async def test_an_answer_that_breaks_off_unstreamed_is_a_502(leaking: Bridge) -> None:
    assert whole(await ask(leaking, body=question())) == CALL
    call = Call(leaking, body=endless())
    await at_work(leaking)
    kill(leaking)
    await call.done()
    assert (call.status, without_id(call.json)) == (502, {"error": BROKEN})
    assert streamed(await ask(leaking, body=question(stream=True))) == CALL


async def test_who_comes_while_the_child_starts_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """Also after it has died without a single finished answer, when it rests before it starts again."""
    caplog.set_level(logging.INFO, "llama_bridge.child")
    async with opened(Settings()) as bridge:
        supervisor = child(bridge)
        early: list[Any] = [Call(bridge, body=endless(stream=True)), Call(bridge, "/v1/models"), Call(bridge, "/props")]
        health = await ask(bridge, "/health")
        assert (health.status, health.json["reason"]) == (503, "our llama-server is starting")
        stream, *others = early
        assert [(await call.done()).status for call in others] == [200, 200]
        await stream.until(lambda call: len(call.messages) > 20)
        kill(bridge)
        await stream.done()
        assert without_id(stream.data[-1]) == {"error": BROKEN}
        assert whole(await ask(bridge, body=question())) == CALL
        assert supervisor.state is State.READY
    said = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("tiny-toolcaller is resting: killed by SIGKILL") for line in said) == 1
