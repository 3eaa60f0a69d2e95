"""Silent backends: when response headers are sent, and which pings keep the stream open."""

import asyncio
from functools import partial
from typing import Any

import httpx
import pytest

from proxy.backends.llama_cpp import backend
from proxy.web import chat, connection
from proxy.web.chat import StreamStartTimeouts, _finishes
from tests.asgi import Call
from tests.backend import DONE, END, ROLE, Piece, chunk, event, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import COUNT, MODELS, Heard, Road, failed, heard, native, refused

COUNTING, WITHOUT_COUNT = 0.02, 0.08


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        chat, "StreamStartTimeouts", lambda: StreamStartTimeouts(COUNTING, WITHOUT_COUNT)
    )


class Silent:
    """Backend that responds when `speaks` is set."""

    def __init__(self, answer: Any) -> None:
        self.speaks = asyncio.Event()
        self._answer = answer

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        await self.speaks.wait()
        assert isinstance(self._answer, httpx.Response)
        return self._answer


def _listed(context: int | None) -> httpx.Response:
    return httpx.Response(
        200, json={"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": context}}]}
    )


def _llama_cpp(silent: Any, count: Any, context: int | None = 2048) -> Road:
    return Road(
        silent, others={COUNT: count, MODELS: lambda _: _listed(context)}, backend_kind="llama_cpp"
    )


def _begun(call: Call) -> bool:
    return len(call.messages) > 1


async def test_an_incomplete_head_times_out() -> None:
    assert StreamStartTimeouts() == StreamStartTimeouts(before_counting=5.0, without_count=20.0)


async def test_the_head_leaves_as_soon_as_the_backend_has_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """llama.cpp sends its headers before it processes the prompt.

    The client gets headers without content, and no ping is needed.
    """
    monkeypatch.setattr(chat, "StreamStartTimeouts", StreamStartTimeouts)
    reading = asyncio.Event()
    accepted = chunk(
        {"role": "assistant", "content": None}, prompt_progress={"total": 9, "processed": 0}
    )
    call = Road(stream(accepted, reading, *text("a"), *END), backend_kind="llama_cpp").begin()
    await call.until(lambda call: bool(call.messages))
    assert (call.status, call.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert call.headers["cache-control"] == "no-cache"
    assert call.body == b""
    reading.set()
    assert heard(await call.done()) == Heard("a", finish="stop")


async def test_no_head_leaves_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, empty lines and pings are not content.

    The request may still be refused with an error status, so no headers are sent yet.
    """
    monkeypatch.setattr(chat, "StreamStartTimeouts", StreamStartTimeouts)
    more = asyncio.Event()
    call = Road(
        stream(b": waiting\n\ndata:\n\n", event({"type": "ping"}), more, chunk(finish="stop"), DONE)
    ).begin()
    await asyncio.sleep(0.02)
    begun = bool(call.messages)
    more.set()
    assert heard(await call.done()).finish == "stop"
    assert not begun


async def test_a_backend_that_cannot_count_is_waited_for_longer_before_a_ping_leaves() -> None:
    silent = Silent(stream(ROLE, *text("a"), *END))
    call = Road(silent).begin()
    await call.until(_begun)
    assert call.times[0] >= WITHOUT_COUNT
    assert (call.status, call.text) == (200, ": ping\n\n")
    silent.speaks.set()
    assert heard(await call.done()) == Heard("a", finish="stop")


async def test_a_prompt_that_is_counted_and_fits_is_waited_for_with_the_head_sent() -> None:
    silent = Silent(stream(*text("a"), *END))
    road = _llama_cpp(silent, httpx.Response(200, json={"input_tokens": 2047}))
    call = road.begin(tools=TOOLS)
    await call.until(_begun)
    assert call.text == ": ping\n\n"
    assert call.times[0] >= COUNTING
    assert road.script.questions(COUNT)[0]["tools"] == TOOLS
    silent.speaks.set()
    assert heard(await call.done()) == Heard("a", finish="stop")


async def test_a_prompt_that_is_too_long_is_refused_without_waiting_for_a_free_slot() -> None:
    silent = Silent(None)
    status, error = refused(
        await _llama_cpp(silent, httpx.Response(200, json={"input_tokens": 2048})).ask()
    )
    assert (status, error["code"], error["n_ctx"], error["n_prompt_tokens"]) == (
        400,
        "context_length_exceeded",
        2048,
        2048,
    )
    assert error["message"] == (
        "request (2048 tokens) exceeds the available context size (2048 tokens), try increasing it"
    )


@pytest.mark.parametrize(
    ("count", "context"),
    [
        (httpx.Response(404), 2048),
        (httpx.Response(200, json={"input_tokens": 9999}), None),
        (httpx.ConnectError("no"), 2048),
    ],
)
async def test_where_no_count_can_be_had_the_head_waits(count: Any, context: int | None) -> None:
    silent = Silent(stream(*text("a"), *END))
    road = _llama_cpp(silent, count, context)
    call = road.begin()
    await call.until(_begun)
    assert len(road.script.questions(COUNT)) >= 1
    assert call.times[0] >= WITHOUT_COUNT
    silent.speaks.set()
    assert heard(await call.done()) == Heard("a", finish="stop")


async def test_what_counting_took_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_COUNT_TIMEOUT", 2 * WITHOUT_COUNT)
    waits: list[float] = []

    async def done(task: asyncio.Task[None], seconds: float) -> bool:
        waits.append(seconds)
        return await _finishes(task, seconds)

    monkeypatch.setattr(chat, "_finishes", done)
    silent = Silent(stream(*text("a"), *END))
    call = _llama_cpp(
        silent, Silent(None)
    ).begin()  # a process that loads its model cannot count tokens either
    await call.until(_begun)
    silent.speaks.set()
    assert heard(await call.done()) == Heard("a", finish="stop")
    assert waits[0] == COUNTING
    assert waits[1] < 0


async def test_a_refusal_that_comes_while_the_prompt_is_counted_is_a_real_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        chat, "StreamStartTimeouts", lambda: StreamStartTimeouts(before_counting=COUNTING)
    )
    silent = Silent(httpx.Response(400, json={"error": {"message": "no such sampler"}}))

    async def count(_: httpx.Request) -> httpx.Response:
        silent.speaks.set()
        await asyncio.sleep(0)
        return httpx.Response(404)

    status, error = refused(await _llama_cpp(silent, count).ask())
    assert (status, error["message"]) == (400, "no such sampler")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(400, json={"error": {"message": "no such sampler"}}), "backend_refused"),
        (httpx.Response(500, json={"error": {"message": "oops"}}), "backend_failed"),
        (stream(b"<html>"), "bad_answer"),
        (stream(b""), "answer_interrupted"),
    ],
)
async def test_a_refusal_after_the_head_has_left_is_an_event(
    answer: httpx.Response, code: str
) -> None:
    silent = Silent(answer)
    call = Road(silent).begin()
    await call.until(_begun)
    silent.speaks.set()
    deltas, error = failed(await call.done())
    assert (deltas, error["code"]) == ([], code)


async def test_who_does_not_stream_waits_for_a_real_status() -> None:
    silent = Silent(httpx.Response(400, json={"error": {"message": "no such sampler"}}))
    call = Road(silent).begin(streamed=False)
    await asyncio.sleep(COUNTING * 2)
    assert call.messages == []
    silent.speaks.set()
    assert refused(await call.done())[0] == 400


def _pinged(times: int, call: Call) -> bool:
    return call.text.count(": ping\n\n") >= times


async def test_a_ping_whenever_nothing_was_sent_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.PING_INTERVAL == 10.0
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.02)
    pauses = [asyncio.Event() for _ in range(3)]
    first, second, third = pauses
    call_pieces: list[Piece] = [
        native(0, '{"content": "a', id="c", name="write"),
        third,
        native(0, 'b"}'),
    ]
    call = Road(stream(ROLE, first, *text("a"), second, *call_pieces, *END)).begin(tools=TOOLS)
    for pause in pauses:
        before = call.text.count(": ping\n\n")
        await call.until(partial(_pinged, before + 2))
        pause.set()
    answer = heard(await call.done())  # accepts comments between events only
    assert (answer.content, answer.made) == ("a", [("write", {"content": "ab"})])


async def test_pings_before_the_backend_has_sent_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.02)
    silent = Silent(stream(*text("a"), *END))
    call = Road(silent).begin()
    await call.until(lambda call: call.text.count(": ping\n\n") >= 3)
    silent.speaks.set()
    assert heard(await call.done()) == Heard("a", finish="stop")
