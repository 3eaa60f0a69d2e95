"""One request and its response over ASGI: body limits, keep-alive, disconnect detection.

uvicorn silently discards data for a disconnected client, so a task must wait for the disconnect.
A stream without data must send comments, or clients and proxies close the connection.
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
# Bytes; allows small requests in addition to one of the maximum size.
UPLOADS_LIMIT = BODY_LIMIT + 8 * 1024 * 1024
# Seconds without data, or more than an upload at MIN_UPLOAD_RATE would have taken.
BODY_TIMEOUT = 30.0
MIN_UPLOAD_RATE = 1024  # bytes per second
PING_INTERVAL = 10.0
NO_CONTENT = 204


class ClientDisconnected(Exception):
    """The client disconnected, so no response can be sent."""


@dataclass(slots=True)
class UploadBudget:
    """Total size of the request bodies being uploaded, over all connections."""

    used: int = 0  # in bytes


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
        self.shutting_down = False  # set before the request is cancelled by a shutdown
        self._upload_budget = upload_budget or UploadBudget()
        self._receive = receive
        self._send = send
        self._body_is_read = False
        self._uploaded = asyncio.Event()
        self._sending = False
        self._sent_at = 0.0

    async def body(self) -> bytes:
        """Return the whole request body.

        Raises BodyTooLarge if the body exceeds `BODY_LIMIT`, and Overloaded if all bodies being
        uploaded together exceed `UPLOADS_LIMIT`.
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
                    raise Overloaded("too many large requests at the same time; retry later")
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            self._upload_budget.used -= size

    def stream_body(self) -> AsyncIterator[bytes]:
        """Iterate over the request body as it arrives.

        Raises ClientDisconnected, BodyTooLarge, or RequestTimeout if the upload is too slow.
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
                raise RequestTimeout(
                    "the rest of the request body did not arrive in time"
                ) from None
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
        """Return when the client has disconnected.

        If the body is being read, this first waits until it is complete, because ASGI messages
        must have one reader at a time.
        """
        if self._body_is_read:
            await self._uploaded.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def run_until_disconnected(self, work: Awaitable[None]) -> None:
        """Await `work`; if the client disconnects first, cancel it and raise ClientDisconnected."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.wait_disconnected())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            # ASGI servers also send http.disconnect after a complete response.
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
        # RFC 9110, 8.6: no content-length where there can be no body.
        length = [(b"content-length", b"%d" % len(body))] if status != NO_CONTENT else []
        await self.start(status, [*headers, *length])
        await self.end(b"" if self.scope["method"] == "HEAD" else body)

    @contextlib.asynccontextmanager
    async def keepalive(
        self, payload: Callable[[], bytes] = lambda: sse.PING
    ) -> AsyncIterator[None]:
        """Within this context, send `payload()` after every `PING_INTERVAL` without data."""
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
                # An earlier write is still waiting for a slow client, which has data to read.
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
    return BodyTooLarge(f"the request body is larger than {BODY_LIMIT:,} bytes")


class Endpoint:
    """ASGI application that calls a handler with the Connection of the request."""

    def __init__(self, answer: Callable[[Connection], Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await self._answer(scope["connection"])
