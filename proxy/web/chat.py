"""The hot path: a client's question, the backend's answer, translated while it streams.

The head of a streamed answer leaves when the backend has accepted the question, so that a refusal
is still a real status. A backend that stays silent is not waited for without end: after a while the
head leaves with a first comment.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy import exact_json
from proxy.backends.base import Backend
from proxy.backends.provider import Wish
from proxy.chat_request import request as questions
from proxy.chat_request.offload import offload
from proxy.chat_request.request import Question
from proxy.completion.answer_state import Keeping
from proxy.completion.pipeline import Translation
from proxy.completion.recovery import Rescue
from proxy.completion.request_stats import Record
from proxy.completion.session import Upstream
from proxy.errors import BridgeError, NotAllowed, Stopping
from proxy.ids import new_id
from proxy.protocols import sse
from proxy.protocols.openai_chat import Head, Stream, Whole
from proxy.web import headers
from proxy.web.connection import Connection
from proxy.web.state import House

_LAST_WORDS = 0.5  # seconds
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent backend is waited for before the head of a streamed answer leaves."""

    # Then a backend that counts tokens is asked whether the prompt fits at all.
    before_counting: float = 5.0
    without_count: float = 20.0


class Chat:
    def __init__(self, house: House, patience: Patience | None = None) -> None:
        self._house = house
        self._patience = patience or Patience()

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] != "POST":
            raise NotAllowed("chat completions are asked with POST", headers={"allow": "POST"})
        raw = await connection.body()
        question = await offload(len(raw), questions.read, raw)
        connection.record.model, connection.record.generates = question.model, True
        await connection.unless_gone(self._answer(connection, question))

    async def _answer(self, connection: Connection, question: Question) -> None:
        backend = await self._house.backend(await offload(question.size, _wish, question))
        rescue = Rescue(
            self._house.parsers,
            self._house.kept,
            backend,
            question,
            self._headers(connection, backend),
        )
        translation = self._translation(connection, question, backend, rescue.keeping)
        upstream = Upstream(backend, translation, rescue)
        connection.record.waits_for = backend.place.waits_for
        opening = asyncio.create_task(_opened(connection.record, backend, question, upstream))

        def noted() -> None:
            connection.record.ways = rescue.ways
            connection.record.remark = backend.remark(question)  # by now its models are known

        # From below, and all of it, also for a client that leaves meanwhile.
        async with contextlib.AsyncExitStack() as at_last:
            at_last.callback(noted)
            at_last.callback(backend.place.leave)
            at_last.push_async_callback(upstream.close)
            at_last.push_async_callback(_cancelled, opening)
            if question.streamed:
                try:
                    await self._stream(connection, question, backend, upstream, opening)
                except asyncio.CancelledError:
                    if connection.closing and connection.started and not connection.ended:
                        await _report_shutdown(connection, translation)
                    raise
            else:
                await self._accepted(backend, question, opening)
                await opening
                await connection.answer(
                    200, await upstream.whole(), [(b"content-type", Whole.media_type)]
                )
            if translation.finished:
                backend.place.answered(*_known(connection.record, rescue))

    async def _stream(
        self,
        connection: Connection,
        question: Question,
        backend: Backend,
        upstream: Upstream,
        opening: asyncio.Task[None],
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

    async def _accepted(
        self, backend: Backend, question: Question, opening: asyncio.Task[None]
    ) -> bool:
        """Whether the backend has accepted the question; False when it is silent for too long.

        Raises its refusal.
        """
        patience, began = self._patience, time.monotonic()
        if not await _done(opening, patience.before_counting):
            if not await backend.refuse_overflow(question):
                await _done(opening, began + patience.without_count - time.monotonic())
            if not opening.done():
                return False
        await opening
        return True

    async def _pump(self, connection: Connection, upstream: Upstream) -> None:
        async for data in upstream.translated():
            if data:
                await connection.write(data)

    def _translation(
        self, connection: Connection, question: Question, backend: Backend, keeping: Keeping
    ) -> Translation:
        head = Head(
            new_id("chatcmpl-"),
            int(time.time()),
            question.model or backend.wanted_model,
            question.wants_usage,
        )
        writer = Stream(head) if question.streamed else Whole(head)
        scans = self._house.settings.tool_parsing != "native"
        make_parser = (lambda: self._house.parsers.parser(question, backend)) if scans else None
        return Translation(
            backend.reply(question.tools),
            backend.meaning,
            writer,
            make_parser,
            question,
            connection.record,
            keeping,
        )

    def _headers(self, connection: Connection, backend: Backend) -> headers.RawHeaders:
        return headers.to_backend_without_body(connection.headers, backend.never_forwarded)


async def _opened(record: Record, backend: Backend, question: Question, upstream: Upstream) -> None:
    await backend.place.address()  # a model that has to be loaded first is waited for here
    with record.waiting():
        await backend.admit(question)
    await upstream.open()


def _wish(question: Question) -> Wish:
    last = exact_json.dumps(question.body["messages"][-1:])
    mark = f"{question.size}:{hash((last, question.streamed))}"
    return Wish(question.model, bool(question.tools), not question.body.get("tools"), mark)


def _known(record: Record, rescue: Rescue) -> tuple[int, int]:
    """How many tokens the question had, and how many of them the backend knew from before: not
    where it was asked twice.
    """
    usage = record.usage
    return (
        (0, 0) if usage is None or record.estimated or rescue.ways else (usage.prompt, usage.cached)
    )


async def _report_shutdown(connection: Connection, translation: Translation) -> None:
    """Tell the client of a stream that its answer stops here.

    A client that does not read is not waited for.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await connection.write(
                translation.broken(Stopping("this proxy is shutting down (connection lost)"))
            )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _done(task: asyncio.Task[None], seconds: float) -> bool:
    await asyncio.wait((task,), timeout=seconds)
    return task.done()
