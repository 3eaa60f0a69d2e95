"""One request and its response over ASGI: body limits, keep-alive, disconnect detection.

uvicorn discards what is sent after the client has disconnected, so a task must wait for the
disconnect. A stream that is silent for long must send comments to stay open.
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
# bytes; leaves room for small requests beside the largest
UPLOADS_LIMIT = BODY_LIMIT + 8 * 1024 * 1024
# Seconds without data, or behind a client that sends at MIN_UPLOAD_RATE.
BODY_TIMEOUT = 30.0
MIN_UPLOAD_RATE = 1024  # bytes per second
PING_INTERVAL = 10.0
NO_CONTENT = 204


class ClientDisconnected(Exception):
    """The client disconnected; no response is needed."""


@dataclass(slots=True)
class UploadBudget:
    """The bytes of unfinished request bodies, over all connections."""

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
        self.shutting_down = False  # the process is about to exit
        self._upload_budget = upload_budget or UploadBudget()
        self._receive = receive
        self._send = send
        self._body_is_read = False
        self._uploaded = asyncio.Event()
        self._sending = False
        self._sent_at = 0.0

    async def body(self) -> bytes:
        """Return the whole body; raise if this body, or all unfinished bodies together, exceed
        the limit.
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
        """Iterate over the body as it arrives; raise ClientDisconnected if the client
        disconnects.
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

        There must be one reader at a time: first of the body, then this.
        """
        if self._body_is_read:
            await self._uploaded.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def run_until_disconnected(self, work: Awaitable[None]) -> None:
        """Run `work`, and cancel it if the client disconnects first."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self.wait_disconnected())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            # Servers also signal a disconnect when the response is complete.
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
        """Within this context, send `payload()` whenever nothing was sent for ten seconds."""
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
                # The client is slow, not the backend: it still has data to read.
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
    """Adapter from a function of a Connection to the ASGI application that a router expects."""

    def __init__(self, answer: Callable[[Connection], Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await self._answer(scope["connection"])
