"""The hot path: a client's question, the backend's answer, translated while it streams.

The head of a streamed answer leaves when the backend has accepted the question, so that a refusal is still a real status.
A backend that stays silent is not waited for without end: after a while the head leaves with a first comment.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from proxy.backends.base import Backend
from proxy.backends.http import Http
from proxy.errors import BadAnswer, BridgeError, BrokenOff, NotAllowed
from proxy.protocols.openai_chat import Head, Stream, Whole
from proxy.requests import question as questions
from proxy.requests.question import Question
from proxy.stream import sse
from proxy.stream.ids import new_id
from proxy.web import headers
from proxy.web.connection import Connection
from proxy.web.house import House
from proxy.web.translation import Translation

_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_LAST_BYTES = 0.5  # seconds
WHOLE_LIMIT = 16 * 1024 * 1024
_SSE_BEGINS = (b"data:", b":", b"event:", b"id:", b"retry:", b"error:")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent backend is waited for before the head of a streamed answer leaves."""

    before_counting: float = 5.0  # then a backend that counts tokens is asked whether the prompt fits at all
    without_count: float = 20.0


class Chat:
    def __init__(self, house: House, patience: Patience | None = None) -> None:
        self._house = house
        self._patience = patience or Patience()

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] != "POST":
            raise NotAllowed("chat completions are asked with POST", headers={"allow": "POST"})
        question = questions.read(await connection.body())
        connection.record.model, connection.record.generates = question.model, True
        await connection.unless_gone(self._answer(connection, question))

    async def _answer(self, connection: Connection, question: Question) -> None:
        backend = await self._house.backend()
        translation = self._translation(connection, question, backend)
        upstream = Upstream(backend.http, translation)
        opening = asyncio.create_task(upstream.open(backend, question, self._headers(connection, backend)))
        try:
            if question.streamed:
                await self._stream(connection, question, backend, upstream, opening)
            else:
                await self._accepted(backend, question, opening)
                await opening
                await connection.answer(200, await upstream.whole(), [(b"content-type", Whole.media_type)])
            if translation.finished:
                self._house.place.answered()
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            await upstream.close()

    async def _stream(
        self, connection: Connection, question: Question, backend: Backend, upstream: "Upstream", opening: asyncio.Task[None]
    ) -> None:
        if not await self._accepted(backend, question, opening):
            await connection.start(200, _STREAM_HEADERS)
            await connection.write(sse.PING)
            async with connection.kept_alive(self._sign(upstream.translation)):
                try:
                    await opening
                except BridgeError as error:
                    await connection.write(upstream.translation.broken(error))
                else:
                    await self._pump(connection, upstream)
        else:
            await connection.start(200, _STREAM_HEADERS)
            async with connection.kept_alive(self._sign(upstream.translation)):
                await self._pump(connection, upstream)
        await connection.end()

    def _sign(self, translation: Translation) -> Callable[[], bytes]:
        """What a client gets that hears nothing for long."""
        if self._house.settings.progress == "off":
            return lambda: sse.PING
        return lambda: translation.sign_of_life(self._house.ledger.sentence)

    async def _accepted(self, backend: Backend, question: Question, opening: asyncio.Task[None]) -> bool:
        """Whether the backend has accepted the question; False when it is silent for too long. Raises its refusal."""
        patience = self._patience
        if not await _done(opening, patience.before_counting):
            if not await backend.refuse_overflow(question):
                await _done(opening, patience.without_count - patience.before_counting)
            if not opening.done():
                return False
        await opening
        return True

    async def _pump(self, connection: Connection, upstream: "Upstream") -> None:
        async for data in upstream.translated():
            if data:
                await connection.write(data)

    def _translation(self, connection: Connection, question: Question, backend: Backend) -> Translation:
        head = Head(new_id("chatcmpl-"), int(time.time()), question.model or backend.wanted_model, question.wants_usage)
        writer = Stream(head) if question.streamed else Whole(head)
        scans = self._house.settings.tool_parsing == "auto"
        make_parser = (lambda: self._house.parser(question)) if scans else None
        return Translation(backend.reply(), backend.meaning, writer, make_parser, question, connection.record)

    def _headers(self, connection: Connection, backend: Backend) -> headers.RawHeaders:
        return headers.to_backend_without_body(connection.headers, backend.never_forwarded)


class Upstream:
    """The backend's answer: opened when the first of it that is no error has come, then read to its end."""

    def __init__(self, http: Http, translation: Translation) -> None:
        self.translation = translation
        self._http = http
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._first: list[bytes] = []
        self._complete = False

    async def open(self, backend: Backend, question: Question, sent: headers.RawHeaders) -> None:
        self._response = await backend.ask(question, sent)
        self._pieces = self._http.pieces(self._response)
        start = b""
        async for piece in self._pieces:
            start = (start + piece).lstrip(b"\xef\xbb\xbf \t\r\n") if not self._first else piece
            if start.startswith((b"{", b"[")) and not self._first:
                await self._open_whole(backend, start)
                return
            if not self._first and not _is_sse(start):
                if _may_become_sse(start):
                    continue
                raise BadAnswer("the backend answered with something that is neither a stream of events nor JSON")
            self._first.append(self.translation.feed(start))
            if self.translation.begun:
                return
        if start and not self._first:
            raise BadAnswer("the backend answered with something that is neither a stream of events nor JSON")
        self._first.append(self.translation.end())
        self._complete = True

    async def _open_whole(self, backend: Backend, start: bytes) -> None:
        """Not a stream: an answer that came at once, or an error that calls itself 200."""
        assert self._pieces is not None
        body = bytearray(start)
        async for piece in self._pieces:
            body += piece
            if len(body) > WHOLE_LIMIT:
                raise BadAnswer(f"the backend sent more than {WHOLE_LIMIT:,} bytes at once")
        try:
            whole: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise BrokenOff("the backend's answer broke off in the middle (connection lost)") from None
        if not isinstance(whole, dict) or not whole.get("choices"):
            error = whole.get("error") if isinstance(whole, dict) else None
            code = error.get("code") if isinstance(error, dict) else None
            raise backend.meaning(code if isinstance(code, int) and 400 <= code < 600 else 502, bytes(body), {})
        self._first.append(self.translation.whole(whole))
        self._complete = True

    async def translated(self) -> AsyncIterator[bytes]:
        """What the client gets, to the end. A break in the middle is part of it."""
        for data in self._first:
            yield data
        if self._complete:
            return
        assert self._pieces is not None  # it was opened
        try:
            while not self.translation.done and (piece := await anext(self._pieces, None)) is not None:
                yield self.translation.feed(piece)
            yield self.translation.end()
        except BridgeError as error:
            yield self.translation.broken(error)

    async def whole(self) -> bytes:
        return b"".join([data async for data in self.translated()])

    async def close(self) -> None:
        """What comes after the last word of an answer is only read so that the connection can be used again."""
        if self._pieces is not None and self.translation.done:
            with contextlib.suppress(TimeoutError, BridgeError):
                async with asyncio.timeout(_LAST_BYTES):
                    while await anext(self._pieces, None) is not None:
                        pass
        if self._response is not None:
            await self._response.aclose()


def _is_sse(start: bytes) -> bool:
    return start.startswith(_SSE_BEGINS)


def _may_become_sse(start: bytes) -> bool:
    return any(begin.startswith(start) for begin in _SSE_BEGINS)


async def _done(task: asyncio.Task[None], seconds: float) -> bool:
    await asyncio.wait((task,), timeout=seconds)
    return task.done()
