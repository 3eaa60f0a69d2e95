"""Passthrough streams: nothing is buffered, and a disconnect leaves no task behind.

The client disconnects while it uploads, waits, or reads.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.asgi import Call
from tests.backend import Backend, Script, script_of, stream
from tests.bridge import bridge
from tests.patience import HANGS

CHUNKED = [("transfer-encoding", "chunked")]
SIZED = [("content-length", "7")]


class Uploader(Call):
    """Client that sends the pieces that are put into `pieces`."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.pieces: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        super().__init__(*arguments, method="POST", **more)

    async def _receive(self) -> MutableMapping[str, Any]:
        leaving = asyncio.ensure_future(self._left.wait())
        piece = asyncio.ensure_future(self.pieces.get())
        try:
            await asyncio.wait((leaving, piece), return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                return {"type": "http.disconnect"}
            body, more = piece.result()
            return {"type": "http.request", "body": body, "more_body": more}
        finally:
            leaving.cancel()
            piece.cancel()


@dataclass
class Gradual(httpx.AsyncBaseTransport):
    """Backend that reads an upload piece by piece, as a socket would.

    It answers after `enough` pieces, or after the whole body.
    """

    answer: httpx.Response
    read: list[bytes] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: bool = False
    breaks: Exception | None = None
    enough: int | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            async for piece in pieces(request):
                self.read.append(piece)
                self.news.set()
                if self.breaks is not None:
                    raise self.breaks
                if len(self.read) == self.enough:
                    break
        except BaseException:
            self.broken_off = True
            raise
        return self.answer

    async def until(self, count: int) -> None:
        async with asyncio.timeout(HANGS):
            while len(self.read) < count:
                self.news.clear()
                await self.news.wait()


def pieces(request: httpx.Request) -> AsyncIterator[bytes]:
    assert isinstance(request.stream, httpx.AsyncByteStream)
    return aiter(request.stream)


Left = Callable[[], Awaitable[list[Any]]]


@pytest.fixture
async def left() -> Left:
    """Return a function that lists the tasks that this test has left running."""
    before = asyncio.all_tasks()

    async def tasks() -> list[Any]:
        for _ in range(10):
            await asyncio.sleep(0)
        ours = asyncio.all_tasks() - before - {asyncio.current_task()}
        # pytest may have started tasks of its own.
        return [task for task in ours if "TestRunner" not in repr(task)]

    return tasks


async def test_the_first_piece_arrives_before_the_second_is_sent(left: Left) -> None:
    gate = asyncio.Event()
    response = stream(b"one", gate, b"two")
    call = Call(bridge(Backend({"/v1/completions": response})), "/v1/completions", b"{}")
    await call.until(lambda call: call.body == b"one")
    assert script_of(response).sent == 1
    gate.set()
    await call.done()
    assert [message.get("body") for message in call.messages[1:]] == [b"one", b"two", b""]
    assert (call.complete, script_of(response).closed, await left()) == (True, True, [])


async def test_a_client_that_reads_slowly_holds_the_backend_back(left: Left) -> None:
    gate = asyncio.Event()
    response = stream(b"x", gate, *[b"x"] * 99)
    call = Call(bridge(Backend({"/x": response})), "/x")
    await call.until(lambda call: call.body == b"x")
    call.may_send.clear()
    gate.set()
    assert await left() != []
    assert script_of(response).sent == 2
    call.may_send.set()
    assert (await call.done()).body == b"x" * 100


@pytest.mark.parametrize("headers", [CHUNKED, SIZED])
async def test_the_backend_sees_the_first_piece_before_the_last_is_sent(
    headers: list[tuple[str, str]], left: Left
) -> None:
    backend = Gradual(stream(b"thanks"))
    call = Uploader(bridge(backend), "/v1/files", headers=headers)
    call.pieces.put_nowait((b"one", True))
    await backend.until(1)
    call.pieces.put_nowait((b"", True))
    call.pieces.put_nowait((b"last", False))
    await call.done()
    assert (backend.read, call.body, call.complete) == ([b"one", b"last"], b"thanks", True)
    assert await left() == []


@pytest.mark.parametrize("headers", [CHUNKED, SIZED])
@pytest.mark.parametrize("already", [0, 1, 2])
async def test_leaving_while_the_upload_is_under_way(
    headers: list[tuple[str, str]], already: int, caplog: pytest.LogCaptureFixture, left: Left
) -> None:
    backend = Gradual(stream(b"never"))
    with caplog.at_level("INFO", "llama-bridge"):
        call = Uploader(bridge(backend), "/v1/files", headers=headers)
        for _ in range(already):
            call.pieces.put_nowait((b"x", True))
        await backend.until(already)
        call.hang_up()
        await call.done()
    assert (backend.broken_off, call.messages, await left()) == (True, [], [])
    assert " POST /v1/files gone " in caplog.text


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_leaving_while_the_backend_is_silent(body: bytes, left: Left) -> None:
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def silent() -> None:
        """Accept the whole request, and never send response headers."""
        asked.set()
        try:
            await asyncio.sleep(600)
        finally:
            let_go.set()

    call = Call(bridge(Backend({"/v1/embeddings": lambda _: silent()})), "/v1/embeddings", body)
    await asked.wait()
    call.hang_up()
    await call.done()
    assert (let_go.is_set(), call.messages, await left()) == (True, [], [])


@pytest.mark.parametrize("upload", [[], [b"{}"], [b"one", b"two"], [b"one", b""]])
@pytest.mark.parametrize("seen", [0, 1, 2])
async def test_leaving_while_the_answer_streams(
    upload: list[bytes], seen: int, caplog: pytest.LogCaptureFixture, left: Left
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    response = stream(*[b"x"] * seen, 600.0, b"never")
    headers = CHUNKED if upload else []
    call = Call(
        bridge(Backend({"/v1/completions": response})),
        "/v1/completions",
        pieces=upload,
        headers=headers,
    )
    await call.until(lambda call: len(call.messages) == 1 + seen)
    call.hang_up()
    await call.done()
    assert (call.body, call.complete) == (b"x" * seen, False)
    assert " POST /v1/completions gone " in caplog.text
    assert (script_of(response).closed, await left()) == (True, [])


async def test_leaving_while_the_answer_streams_although_an_upload_came_slowly(left: Left) -> None:
    response = stream(b"x", 600.0)
    backend = Gradual(response)
    call = Uploader(bridge(backend), "/v1/files", headers=CHUNKED)
    call.pieces.put_nowait((b"one", True))
    await backend.until(1)
    call.pieces.put_nowait((b"two", False))
    await call.until(lambda call: call.body == b"x")
    call.hang_up()
    await call.done()
    assert (script_of(response).closed, call.complete, await left()) == (True, False, [])


async def test_leaving_while_nothing_can_be_sent(left: Left) -> None:
    gate = asyncio.Event()
    response = stream(b"x", gate, *[b"x"] * 99)
    call = Call(bridge(Backend({"/x": response})), "/x")
    await call.until(lambda call: call.body == b"x")
    call.may_send.clear()
    gate.set()
    await left()
    call.hang_up()
    await call.done()
    assert (script_of(response).closed, await left()) == (True, [])


async def test_leaving_after_the_end_changes_nothing(
    caplog: pytest.LogCaptureFixture, left: Left
) -> None:
    response = stream(b"x")
    with caplog.at_level("INFO", "llama-bridge"):
        call = Call(bridge(Backend({"/x": response})), "/x", b"{}")
        await call.done()
        call.hang_up()
    assert (call.complete, await left()) == (True, [])
    assert " POST /x 200 " in caplog.text


async def test_a_backend_that_fails_during_the_upload_is_reported(left: Left) -> None:
    backend = Gradual(stream(b"never"), breaks=httpx.WriteError("reset"))
    call = Uploader(bridge(backend), "/v1/files", headers=CHUNKED)
    call.pieces.put_nowait((b"one", True))
    await call.done()
    assert (call.status, call.json["error"]["code"], await left()) == (
        502,
        "answer_interrupted",
        [],
    )


async def test_an_answer_before_the_end_of_the_upload_is_not_held_back(left: Left) -> None:
    backend = Gradual(httpx.Response(413, stream=Script([b"too much"])), enough=1)
    call = Uploader(bridge(backend), "/v1/files", headers=CHUNKED)
    call.pieces.put_nowait((b"one", True))
    await call.done()
    assert (call.status, call.body, call.complete, await left()) == (413, b"too much", True, [])
