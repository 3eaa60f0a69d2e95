"""The backend notices a client that disconnects, and one that reads slowly."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest

from proxy.web.chat import StreamStartTimeouts
from tests.asgi import Call
from tests.backend import END, ROLE, Piece, Script, script_of, stream, text
from tests.bridge import bridge
from tests.patience import until
from tests.web.round_trip import BOTH, CHAT, MODELS, QUESTION, Heard, Road, heard


class Asked:
    """Backend that receives a request and never responds; records a cancellation in `given_up`."""

    def __init__(self) -> None:
        self.begun, self.given_up = asyncio.Event(), False

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        self.begun.set()
        try:
            return await asyncio.Future[httpx.Response]()
        finally:
            self.given_up = True


def _says(*pieces: Piece, reached: asyncio.Event) -> httpx.Response:
    """Return a response that streams `pieces` and then stalls without end."""

    def spoken() -> Iterator[Piece]:
        yield from pieces
        reached.set()
        yield asyncio.Event()

    return httpx.Response(200, stream=Script(spoken()))


async def _left(call: Call) -> None:
    call.hang_up()
    await call.done()
    assert not call.complete


@BOTH
async def test_before_the_backend_has_answered(streamed: bool) -> None:
    asked = Asked()
    call = Road(asked).begin(streamed=streamed)
    await asked.begun.wait()
    await _left(call)
    assert asked.given_up
    assert call.messages == []


@BOTH
async def test_before_the_backend_has_sent_anything(streamed: bool) -> None:
    response = _says(b": ping\n\n", reached=(reached := asyncio.Event()))
    call = Road(response).begin(streamed=streamed)
    await reached.wait()
    await _left(call)
    assert script_of(response).closed
    assert call.messages == []


async def test_in_the_middle_of_a_stream() -> None:
    response = stream(ROLE, *text("x"), asyncio.Event())
    call = Road(response).begin()
    await call.until(lambda call: '"x"' in call.text)
    await _left(call)
    assert script_of(response).closed


async def test_while_an_unstreamed_answer_is_gathered() -> None:
    response = _says(ROLE, *text("a"), reached=(reached := asyncio.Event()))
    call = Road(response).begin(streamed=False)
    await reached.wait()
    await _left(call)
    assert script_of(response).closed
    assert call.messages == []


async def test_while_the_backend_is_silent_and_the_head_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "proxy.web.chat.StreamStartTimeouts", lambda: StreamStartTimeouts(0.0, 0.01)
    )
    asked = Asked()
    call = Road(asked).begin()
    await call.until(lambda call: "ping" in call.text)
    await _left(call)
    assert asked.given_up


async def test_while_the_kind_of_the_backend_is_found_out() -> None:
    asked = Asked()
    call = Road(others={MODELS: asked}, backend_kind="auto").begin()
    await asked.begun.wait()
    await _left(call)
    assert asked.given_up


async def test_while_it_reads_nothing() -> None:
    pause = asyncio.Event()
    response = stream(ROLE, pause, *text("a"), *END)
    call = Road(response).begin()
    await call.until(lambda call: bool(call.messages))
    call.may_send.clear()
    pause.set()
    await asyncio.sleep(0.01)
    await _left(call)
    assert script_of(response).closed


async def test_the_log_says_gone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "llama-bridge")
    call = Road(stream(ROLE, *text("x"), asyncio.Event())).begin()
    await call.until(lambda call: '"x"' in call.text)
    await _left(call)
    (line,) = caplog.records
    assert f"POST {CHAT} gone m " in line.getMessage()


async def test_others_go_on() -> None:
    pause = asyncio.Event()
    road = Road(stream(ROLE, *text("x"), asyncio.Event()), stream(ROLE, *text("b"), pause, *END))
    leaves, stays = road.begin(), road.begin()
    await leaves.until(lambda call: '"x"' in call.text)
    await stays.until(lambda call: '"b"' in call.text)
    await _left(leaves)
    pause.set()
    assert heard(await stays.done()) == Heard("b", finish="stop")


async def test_leaving_after_the_answer_is_no_leaving(caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn reports a disconnect as soon as the whole response has been sent."""
    caplog.set_level("INFO", "llama-bridge")
    response = stream(*text("a"), *END, b": late\n\n")
    road = Road(response)
    call = _LikeUvicorn(road.app, CHAT, QUESTION | {"stream": True})
    assert heard(await call.done()).content == "a"
    (line,) = caplog.records
    assert f"POST {CHAT} 200 m " in line.getMessage()
    assert script_of(response).sent == 5


class _LikeUvicorn(Call):
    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await super()._send(message)
        if self.complete:
            self.hang_up()


async def test_a_client_that_reads_slowly_is_not_read_ahead_of() -> None:
    pause = asyncio.Event()
    words = [f"{number} " for number in range(1000)]
    response = stream(ROLE, *text("so: "), pause, *text(*words), *END)
    call = Road(response).begin()
    await call.until(lambda call: "so:" in call.text)
    call.may_send.clear()
    pause.set()
    await asyncio.sleep(0.02)
    assert script_of(response).sent <= 4
    call.may_send.set()
    assert heard(await call.done()).content == "so: " + "".join(words)


async def test_a_client_that_reads_nothing_at_all_holds_nothing_but_the_beginning() -> None:
    response = stream(ROLE, *text(*"abc" * 1000), *END)
    call = Road(response).begin()
    call.may_send.clear()
    await until(lambda: script_of(response).sent)
    await asyncio.sleep(0.02)
    assert script_of(response).sent == 1
    call.may_send.set()
    assert heard(await call.done()).content == "abc" * 1000


async def test_a_client_that_leaves_while_it_sends_its_question() -> None:
    call = Call(bridge(), CHAT, pieces=[], headers=[("content-length", "5")])
    call.hang_up()
    await call.done()
    assert call.messages == []
