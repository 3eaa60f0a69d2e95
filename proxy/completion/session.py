"""Session that gets one answer from the backend, including recovery from errors."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx

from proxy.backends.base import Backend
from proxy.backends.chunks import ChunkParser, InvalidChunk
from proxy.completion.choice import Choice
from proxy.completion.pipeline import ResponsePipeline
from proxy.completion.recovery import Attempt, Recovery
from proxy.errors import BackendDisconnected, BridgeError, CrashesModel, InvalidBackendResponse

_DRAIN_TIMEOUT = 0.5  # seconds
WHOLE_LIMIT = 16 * 1024 * 1024
_SSE_PREFIXES = (b"data:", b":", b"event:", b"id:", b"retry:", b"error:")


class CompletionSession:
    """Session for one answer: call `open`, then `stream` or `collect`, then `close`."""

    def __init__(self, backend: Backend, pipeline: ResponsePipeline, recovery: Recovery) -> None:
        self.pipeline = pipeline
        self._backend = backend
        self._recovery = recovery
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._output: AsyncGenerator[bytes, None] | None = None
        self._buffered: list[bytes] = []  # output for the client that `open` has produced
        self._first_error: BridgeError | None = None  # the error to report if recovery fails

    async def open(self) -> None:
        try:
            attempt = await self._recovery.first_attempt()
            self._response = (
                attempt.response
            )  # set now, so that `close` closes it after a disconnect
            await self._recovery.warm_up()
            if attempt.thinking is not None:
                self.pipeline.use_parser(self._recovery.parser(attempt.thinking))
            await self._start(self._read_response(attempt))
        except BridgeError as error:
            await self._recover_opening(error)

    async def _recover_opening(self, error: BridgeError) -> None:
        """Recover from an error that occurred before anything was sent to the client.

        If recovery fails but the answer received so far can be finished, it is finished.
        """
        try:
            await self._recover(error)
        except BridgeError as cause:
            if not self.pipeline.can_finish:
                raise
            self._output = _single(self.pipeline.abort(cause))

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the bytes for the client.

        If the answer breaks off and cannot be recovered, the last bytes report the error.
        """
        while True:
            assert self._output is not None  # `open` was called
            try:
                while self._buffered:
                    yield self._buffered.pop(0)
                async for data in self._output:
                    yield data
                return
            except BridgeError as error:
                failure = error
            try:
                await self._recover(failure)
            except BridgeError as error:
                yield self.pipeline.abort(error)
                return

    async def collect(self) -> bytes:
        return b"".join([data async for data in self.stream()])

    async def close(self) -> None:
        """Close the response of the backend.

        After a complete answer the rest is read first, so that the connection can be reused.
        """
        self._recovery.close()
        try:
            if self._body is not None and self.pipeline.eof_seen:
                with contextlib.suppress(TimeoutError, BridgeError):
                    async with asyncio.timeout(_DRAIN_TIMEOUT):
                        while await anext(self._body, None) is not None:
                            pass
        finally:
            await self._close_response()

    async def _start(self, output: AsyncGenerator[bytes, None]) -> None:
        self._output = output
        async for data in output:
            self._buffered.append(data)
            if self.pipeline.started:
                return

    async def _recover(self, error: BridgeError) -> None:
        """Open a response that replaces the failed one, or raise the error to report."""
        if not self._recovery.can_recover(error):
            raise error
        self._first_error = (
            error if isinstance(error, BackendDisconnected) else self._first_error or error
        )
        failure = error
        while (
            self._recovery.can_recover(failure)
            and (choice := self.pipeline.resumable_choice) is not None
        ):
            await self._close_response()
            try:
                if await self._open_next(failure, choice):
                    return
                break
            except CrashesModel:
                raise  # a further attempt would crash the model again
            except BridgeError as another:
                failure = another
        raise self._first_error  # later errors do not explain the failure

    async def _open_next(self, failure: BridgeError, choice: Choice) -> bool:
        if (recovered := await self._recovery.recover_output(failure, choice)) is not None:
            self.pipeline.resume(
                choice, "restart", self._recovery.response_reader(), recovered.parser
            )
            await self._start(self._drain(self.pipeline.feed_output(recovered.text)))
        elif (attempt := await self._recovery.next_attempt(failure, choice)) is not None:
            self.pipeline.resume(
                choice,
                attempt.resume,
                self._recovery.response_reader(),
                self._recovery.parser(attempt.thinking),
                attempt.prefill_tokens,
            )
            await self._start(self._read_response(attempt))
        else:
            return False
        return True

    async def _close_response(self) -> None:
        response, self._response, self._body = self._response, None, None
        if response is not None:
            await response.aclose()

    async def _read_response(self, attempt: Attempt) -> AsyncGenerator[bytes, None]:
        self._response = attempt.response
        pieces = self._body = self._backend.http.stream(attempt.response)
        start = b""
        async for piece in pieces:
            start = (start + piece).lstrip(b"\xef\xbb\xbf \t\r\n")
            if (
                start.startswith((b"{", b"["))
                or not _may_become_sse(start)
                or start.startswith(_SSE_PREFIXES)
            ):
                break
        if start.startswith((b"{", b"[")):
            reading = self._drain(self.pipeline.feed_whole(await self._read_whole(start, pieces)))
        elif not start or start.startswith(_SSE_PREFIXES):
            reading = self._events(start, pieces)
        else:
            raise InvalidBackendResponse(
                (
                    "the backend's response is neither an event stream nor "
                    "JSON; check that BACKEND_URL is the base of its API"
                ),
                retryable=False,
            )
        # Free these bytes, because a slow client keeps this generator alive for long.
        start = piece = b""
        async for data in reading:
            yield data

    async def _events(
        self, start: bytes, pieces: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        more: bytes | None = start
        start = b""
        while more is not None:
            data, more = self.pipeline.feed(more), None
            yield data
            while self.pipeline.has_backlog:
                await asyncio.sleep(0)
                yield self.pipeline.feed()
            more = None if self.pipeline.eof_seen else await anext(pieces, None)
        async for data in self._drain(self.pipeline.feed_eof()):
            yield data

    async def _drain(self, data: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the rest of the answer and its end, and let other tasks run in between."""
        while self.pipeline.has_backlog:
            yield data
            await asyncio.sleep(0)
            data = self.pipeline.feed()
        yield data + self.pipeline.end()

    async def _read_whole(self, start: bytes, pieces: AsyncIterator[bytes]) -> dict[str, Any]:
        """Return the JSON of a response that is not a stream.

        Raises a BridgeError if the response is an error in spite of its status 200.
        """
        read = bytearray(start)
        async for piece in pieces:
            read += piece
            if len(read) > WHOLE_LIMIT:
                raise InvalidBackendResponse(
                    f"the backend's response is larger than {WHOLE_LIMIT:,} bytes"
                )
        body = bytes(read)
        try:
            whole = ChunkParser().parse(body)
        except InvalidChunk:
            raise BackendDisconnected("the backend's answer broke off (connection lost)") from None
        if whole is None or not whole.get("choices"):
            raise self._backend.map_error(_status(whole), body, {})
        return whole


async def _single(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _status(completion: Any) -> int:
    """Return the status code inside an error that was sent with status 200, or 502."""
    error = completion.get("error", completion) if isinstance(completion, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def _may_become_sse(start: bytes) -> bool:
    return any(begin.startswith(start) for begin in _SSE_PREFIXES)
