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

from proxy.completion.request_stats import Record
from proxy.errors import Busy, HalfRequest, TooLarge
from proxy.protocols import sse
from proxy.web.headers import RawHeaders, first

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT = 64 * 1024 * 1024
UPLOADS_LIMIT = BODY_LIMIT + 8 * 1024 * 1024  # the largest leaves room for those of everyday
# Without a piece of the body, or behind what a client of SLOWEST would have sent.
BODY_SECONDS = 30.0
SLOWEST = 1024  # bytes a second
PING_AFTER = 10.0
NO_CONTENT = 204


class ClientGone(Exception):
    """The client hung up: nobody waits for the answer."""


@dataclass(slots=True)
class Uploads:
    """What is held of bodies that are not whole yet, of all connections together."""

    held: int = 0  # bytes


class Connection:
    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        record: Record,
        uploads: Uploads | None = None,
    ) -> None:
        self.scope = scope
        self.record = record
        self.headers: RawHeaders = list(scope["headers"])
        self.started = False
        self.ended = False
        self.closing = False  # this process is about to end
        self._uploads = uploads or Uploads()
        self._receive = receive
        self._send = send
        self._reads_body = False
        self._uploaded = asyncio.Event()
        self._sending = False
        self._sent_at = 0.0

    async def body(self) -> bytes:
        """All of it.

        Many large ones at once are not held: each alone has its limit, and all of them together
        have one.
        """
        return await self.whole(self.pieces())

    async def whole(self, body: AsyncIterator[bytes]) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in body:
                size += len(piece)
                self._uploads.held += len(piece)
                if self._uploads.held > UPLOADS_LIMIT:
                    raise Busy("too many large requests are being sent at once")
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self._uploads.held -= size

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Who reads it sees the client leave meanwhile, as ClientGone."""
        announced = first(self.headers, b"content-length") or ""
        if announced.isdecimal() and int(announced) > BODY_LIMIT:
            raise _too_large()
        self._reads_body = True
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        size, waited = 0, 0.0
        while not self._uploaded.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(
                    min(BODY_SECONDS, BODY_SECONDS + size / SLOWEST - waited)
                ):
                    message = await self._receive()
            except TimeoutError:
                raise HalfRequest("the rest of the request did not come") from None
            waited += time.monotonic() - began
            size += len(message.get("body", b""))
            if size > BODY_LIMIT:
                raise _too_large()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if not message.get("more_body", False):
                self._uploaded.set()
            if piece := message.get("body", b""):
                yield piece

    async def gone(self) -> None:
        """Returns when the client has left.

        There is one reader at a time: first of the body, then of this.
        """
        if self._reads_body:
            await self._uploaded.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def unless_gone(self, work: Awaitable[None]) -> None:
        """Does the work; where the client leaves first, the work is cancelled, and with it all
        that it waits for.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.gone())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            # A server also says so when it has all of the answer.
            if not working.done() and not self.ended:
                raise ClientGone
            await working
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def start(self, status: int, headers: RawHeaders) -> None:
        self.started = True
        self.record.status = status
        await self._write({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._write({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        self.ended = True
        await self._write({"type": "http.response.body", "body": data})

    async def answer(self, status: int, body: bytes, headers: RawHeaders) -> None:
        # RFC 9110, 8.6: none where no body can be.
        length = [(b"content-length", b"%d" % len(body))] if status != NO_CONTENT else []
        await self.start(status, [*headers, *length])
        await self.end(b"" if self.scope["method"] == "HEAD" else body)

    @contextlib.asynccontextmanager
    async def kept_alive(self, sign: Callable[[], bytes] = lambda: sse.PING) -> AsyncIterator[None]:
        """Within, a sign of life leaves whenever nothing was sent for ten seconds: a comment,
        which nobody reads.
        """
        beat = asyncio.create_task(self._beat(sign))
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    async def _beat(self, sign: Callable[[], bytes]) -> None:
        while True:
            wait = self._sent_at + PING_AFTER - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif self._sending:
                # The client is slow, not the backend: it has something to read.
                await asyncio.sleep(1.0)
            else:
                await self.write(sign())

    async def _write(self, message: MutableMapping[str, Any]) -> None:
        self._sending = True
        try:
            await self._send(message)
        finally:
            self._sending = False
            self._sent_at = time.monotonic()


def _too_large() -> TooLarge:
    return TooLarge(f"the request is larger than {BODY_LIMIT:,} bytes")


class Endpoint:
    """What answers a connection, as the ASGI application that a router asks for."""

    def __init__(self, answer: Callable[[Connection], Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await self._answer(scope["connection"])
