"""The backend's answer, from the question to its end, also where it has to be got another way."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx

from proxy.backends.base import Backend
from proxy.backends.chunks import Chunks, Unreadable
from proxy.completion.choice import Choice
from proxy.completion.pipeline import Translation
from proxy.completion.recovery import Asked, Rescue
from proxy.errors import BadAnswer, BridgeError, KillsModel, Vanished

_LAST_BYTES = 0.5  # seconds
WHOLE_LIMIT = 16 * 1024 * 1024
_SSE_BEGINS = (b"data:", b":", b"event:", b"id:", b"retry:", b"error:")


class Upstream:
    """Opened when the first of it that is no error has come, then read to its end."""

    def __init__(self, backend: Backend, translation: Translation, rescue: Rescue) -> None:
        self.translation = translation
        self._backend = backend
        self._rescue = rescue
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._coming: AsyncGenerator[bytes, None] | None = None
        self._first: list[bytes] = []  # what came while it was opened
        self._cause: BridgeError | None = None  # for which it had to be got another way

    async def open(self) -> None:
        try:
            asked = await self._rescue.first()
            self._response = asked.response  # closed also if the client leaves now
            await self._rescue.warm_up()
            if asked.thinking is not None:
                self.translation.reads_with(self._rescue.parser(asked.thinking))
            await self._start(self._read(asked))
        except BridgeError as error:
            await self._opened_after(error)

    async def _opened_after(self, error: BridgeError) -> None:
        """Recover from an error that came before anything was sent.

        An answer that needs no recovery is finished, in whatever pieces it and the error came."""
        try:
            await self._another_way(error)
        except BridgeError as cause:
            if not self.translation.can_finish:
                raise
            self._coming = _at_once(self.translation.broken(cause))

    async def translated(self) -> AsyncIterator[bytes]:
        """What the client gets, to the end. A break in the middle is part of it."""
        while True:
            assert self._coming is not None  # it was opened
            try:
                while self._first:
                    yield self._first.pop(0)
                async for data in self._coming:
                    yield data
                return
            except BridgeError as error:
                failure = error
            try:
                await self._another_way(failure)
            except BridgeError as error:
                yield self.translation.broken(error)
                return

    async def whole(self) -> bytes:
        return b"".join([data async for data in self.translated()])

    async def close(self) -> None:
        """What comes after the last word of an answer is only read so that the connection can be
        used again.
        """
        self._rescue.close()
        try:
            if self._pieces is not None and self.translation.done:
                with contextlib.suppress(TimeoutError, BridgeError):
                    async with asyncio.timeout(_LAST_BYTES):
                        while await anext(self._pieces, None) is not None:
                            pass
        finally:
            await self._let_go()

    async def _start(self, coming: AsyncGenerator[bytes, None]) -> None:
        self._coming = coming
        async for data in coming:
            self._first.append(data)
            if self.translation.begun:
                return

    async def _another_way(self, error: BridgeError) -> None:
        """Opens the answer that takes the place of the one that failed.

        Raises what cannot be helped.
        """
        if not self._rescue.may_help(error):
            raise error
        self._cause = error if isinstance(error, Vanished) else self._cause or error
        failure = error
        while (
            self._rescue.may_help(failure) and (choice := self.translation.only_choice) is not None
        ):
            await self._let_go()
            try:
                if await self._opened_another(failure, choice):
                    return
                break
            except KillsModel:
                raise  # nobody should ask again
            except BridgeError as another:
                failure = another
        raise self._cause  # what the backend said first is what explains it

    async def _opened_another(self, failure: BridgeError, choice: Choice) -> bool:
        if (found := await self._rescue.answer_at_hand(failure, choice)) is not None:
            self.translation.joins(choice, "begins again", self._rescue.reply(), found.parser)
            await self._start(self._to_its_end(self.translation.feed_text(found.text)))
        elif (asked := await self._rescue.ask(failure, choice)) is not None:
            self.translation.joins(
                choice,
                asked.joins,
                self._rescue.reply(),
                self._rescue.parser(asked.thinking),
                asked.spent,
            )
            await self._start(self._read(asked))
        else:
            return False
        return True

    async def _let_go(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None:
            await response.aclose()

    async def _read(self, asked: Asked) -> AsyncGenerator[bytes, None]:
        self._response = asked.response
        pieces = self._pieces = self._backend.http.pieces(asked.response)
        start = b""
        async for piece in pieces:
            start = (start + piece).lstrip(b"\xef\xbb\xbf \t\r\n")
            if (
                start.startswith((b"{", b"["))
                or not _may_become_sse(start)
                or start.startswith(_SSE_BEGINS)
            ):
                break
        if start.startswith((b"{", b"[")):
            reading = self._to_its_end(
                self.translation.feed_whole(await self._whole(start, pieces))
            )
        elif not start or start.startswith(_SSE_BEGINS):
            reading = self._events(start, pieces)
        else:
            raise BadAnswer(
                (
                    "the backend answered with something that is neither a stream of events nor "
                    "JSON; is BACKEND_URL the base of its API?"
                ),
                may_pass=False,
            )
        # A client that reads slowly keeps us here for long, with thousands of others.
        start = piece = b""
        async for data in reading:
            yield data

    async def _events(
        self, start: bytes, pieces: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        more: bytes | None = start
        start = b""
        while more is not None:
            data, more = self.translation.feed(more), None
            yield data
            while self.translation.is_behind:
                await asyncio.sleep(0)
                yield self.translation.feed()
            more = None if self.translation.done else await anext(pieces, None)
        async for data in self._to_its_end(self.translation.feed_last()):
            yield data

    async def _to_its_end(self, data: bytes) -> AsyncGenerator[bytes, None]:
        """What is left of the answer when the backend has no more to say; others have their turn
        in between.
        """
        while self.translation.is_behind:
            yield data
            await asyncio.sleep(0)
            data = self.translation.feed()
        yield data + self.translation.end()

    async def _whole(self, start: bytes, pieces: AsyncIterator[bytes]) -> dict[str, Any]:
        """Not a stream: an answer that came at once, or an error that calls itself 200."""
        read = bytearray(start)
        async for piece in pieces:
            read += piece
            if len(read) > WHOLE_LIMIT:
                raise BadAnswer(f"the backend sent more than {WHOLE_LIMIT:,} bytes at once")
        body = bytes(read)
        try:
            whole = Chunks().parse(body)
        except Unreadable:
            raise Vanished(
                "the backend's answer broke off in the middle (connection lost)"
            ) from None
        if whole is None or not whole.get("choices"):
            raise self._backend.meaning(_status(whole), body, {})
        return whole


async def _at_once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _status(told: Any) -> int:
    """Of an error that calls itself 200."""
    error = told.get("error", told) if isinstance(told, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def _may_become_sse(start: bytes) -> bool:
    return any(begin.startswith(start) for begin in _SSE_BEGINS)
