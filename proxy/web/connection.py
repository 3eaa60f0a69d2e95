"""One request of a client and the answer to it, over ASGI's two callables.

uvicorn swallows what is sent after the client has left, so somebody must listen for that; and a
stream that is silent for long must show that it lives.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from proxy.completion.request_stats import RequestStats
from proxy.errors import BodyTooLarge, Overloaded, RequestTimeout
from proxy.protocols import sse
from proxy.web.headers import RawHeaders, first

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT = 64 * 1024 * 1024
UPLOADS_LIMIT = BODY_LIMIT + 8 * 1024 * 1024  # the largest leaves room for those of everyday
# Without a piece of the body, or behind what a client of SLOWEST would have sent.
BODY_TIMEOUT = 30.0
MIN_UPLOAD_RATE = 1024  # bytes a second
PING_INTERVAL = 10.0
NO_CONTENT = 204


class ClientDisconnected(Exception):
    """The client hung up: nobody waits for the answer."""


@dataclass(slots=True)
class UploadBudget:
    """What is held of bodies that are not whole yet, of all connections together."""

    used: int = 0  # bytes


class Connection:
    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        stats: RequestStats,
        upload_budget: UploadBudget | None = None,
    ) -> None:
        self.scope = scope
        self.stats = stats
        self.headers: RawHeaders = list(scope["headers"])
        self.started = False
        self.ended = False
        self.shutting_down = False  # this process is about to end
        self._upload_budget = upload_budget or UploadBudget()
        self._receive = receive
        self._send = send
        self._body_is_read = False
        self._uploaded = asyncio.Event()
        self._sending = False
        self._sent_at = 0.0

    async def body(self) -> bytes:
        """All of it.

        Many large ones at once are not held: each alone has its limit, and all of them together
        have one.
        """
        return await self.read_all(self.stream_body())

    async def read_all(self, body: AsyncIterator[bytes]) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in body:
                size += len(piece)
                self._upload_budget.used += len(piece)
                if self._upload_budget.used > UPLOADS_LIMIT:
                    raise Overloaded("too many large requests are being sent at once")
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self._upload_budget.used -= size

    def stream_body(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Who reads it sees the client leave meanwhile, as
        ClientDisconnected.
        """
        announced = first(self.headers, b"content-length") or ""
        if announced.isdecimal() and int(announced) > BODY_LIMIT:
            raise _too_large()
        self._body_is_read = True
        return self._stream_body()

    async def _stream_body(self) -> AsyncIterator[bytes]:
        size, waited = 0, 0.0
        while not self._uploaded.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(
                    min(BODY_TIMEOUT, BODY_TIMEOUT + size / MIN_UPLOAD_RATE - waited)
                ):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout("the rest of the request did not come") from None
            waited += time.monotonic() - began
            size += len(message.get("body", b""))
            if size > BODY_LIMIT:
                raise _too_large()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            if not message.get("more_body", False):
                self._uploaded.set()
            if piece := message.get("body", b""):
                yield piece

    async def wait_disconnected(self) -> None:
        """Returns when the client has left.

        There is one reader at a time: first of the body, then of this.
        """
        if self._body_is_read:
            await self._uploaded.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def run_until_disconnected(self, work: Awaitable[None]) -> None:
        """Does the work; where the client leaves first, the work is cancelled, and with it all
        that it waits for.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.wait_disconnected())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            # A server also says so when it has all of the answer.
            if not working.done() and not self.ended:
                raise ClientDisconnected
            await working
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def start(self, status: int, headers: RawHeaders) -> None:
        self.started = True
        self.stats.status = status
        await self._write({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._write({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        self.ended = True
        await self._write({"type": "http.response.body", "body": data})

    async def respond(self, status: int, body: bytes, headers: RawHeaders) -> None:
        # RFC 9110, 8.6: none where no body can be.
        length = [(b"content-length", b"%d" % len(body))] if status != NO_CONTENT else []
        await self.start(status, [*headers, *length])
        await self.end(b"" if self.scope["method"] == "HEAD" else body)

    @contextlib.asynccontextmanager
    async def keepalive(
        self, payload: Callable[[], bytes] = lambda: sse.PING
    ) -> AsyncIterator[None]:
        """Within, a sign of life leaves whenever nothing was sent for ten seconds: a comment,
        which nobody reads.
        """
        beat = asyncio.create_task(self._heartbeat(payload))
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    async def _heartbeat(self, payload: Callable[[], bytes]) -> None:
        while True:
            wait = self._sent_at + PING_INTERVAL - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif self._sending:
                # The client is slow, not the backend: it has something to read.
                await asyncio.sleep(1.0)
            else:
                await self.write(payload())

    async def _write(self, message: MutableMapping[str, Any]) -> None:
        self._sending = True
        try:
            await self._send(message)
        finally:
            self._sending = False
            self._sent_at = time.monotonic()


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the request is larger than {BODY_LIMIT:,} bytes")


class Endpoint:
    """What answers a connection, as the ASGI application that a router asks for."""

    def __init__(self, answer: Callable[[Connection], Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await self._answer(scope["connection"])
