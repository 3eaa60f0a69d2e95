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
from proxy.backends.provider import RouteRequest
from proxy.chat_request import request as questions
from proxy.chat_request.offload import offload
from proxy.chat_request.request import ChatRequest
from proxy.completion.answer_state import AnswerState
from proxy.completion.pipeline import ResponsePipeline
from proxy.completion.recovery import Recovery
from proxy.completion.request_stats import RequestStats
from proxy.completion.session import CompletionSession
from proxy.errors import BridgeError, MethodNotAllowed, ShuttingDown
from proxy.ids import new_id
from proxy.protocols import sse
from proxy.protocols.openai_chat import ChunkHead, CompletionWriter, StreamWriter
from proxy.web import headers
from proxy.web.connection import Connection
from proxy.web.state import AppState

_SHUTDOWN_WRITE_TIMEOUT = 0.5  # seconds
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class StreamStartTimeouts:
    """How long a silent backend is waited for before the head of a streamed answer leaves."""

    # Then a backend that counts tokens is asked whether the prompt fits at all.
    before_counting: float = 5.0
    without_count: float = 20.0


class Chat:
    def __init__(self, app_state: AppState, timeouts: StreamStartTimeouts | None = None) -> None:
        self._app_state = app_state
        self._timeouts = timeouts or StreamStartTimeouts()

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] != "POST":
            raise MethodNotAllowed(
                "chat completions are asked with POST", headers={"allow": "POST"}
            )
        raw = await connection.body()
        request = await offload(len(raw), questions.parse, raw)
        connection.stats.model, connection.stats.is_generation = request.model, True
        await connection.run_until_disconnected(self._answer(connection, request))

    async def _answer(self, connection: Connection, request: ChatRequest) -> None:
        backend = await self._app_state.backend(
            await offload(request.size, _route_request, request)
        )
        recovery = Recovery(
            self._app_state.parsers,
            self._app_state.memory_budget,
            backend,
            request,
            self._headers(connection, backend),
        )
        pipeline = self._pipeline(connection, request, backend, recovery.answer_state)
        completion = CompletionSession(backend, pipeline, recovery)
        connection.stats.waiting_reason = backend.provider.waiting_reason
        opening = asyncio.create_task(_open(connection.stats, backend, request, completion))

        def note_result() -> None:
            connection.stats.recovery_steps = recovery.steps
            connection.stats.warning = backend.warning_for(request)  # by now its models are known

        # From below, and all of it, also for a client that leaves meanwhile.
        async with contextlib.AsyncExitStack() as cleanup:
            cleanup.callback(note_result)
            cleanup.callback(backend.provider.release)
            cleanup.push_async_callback(completion.close)
            cleanup.push_async_callback(_cancel, opening)
            if request.streamed:
                try:
                    await self._stream(connection, request, backend, completion, opening)
                except asyncio.CancelledError:
                    if connection.shutting_down and connection.started and not connection.ended:
                        await _report_shutdown(connection, pipeline)
                    raise
            else:
                await self._wait_for_headers(backend, request, opening)
                await opening
                await connection.respond(
                    200,
                    await completion.collect(),
                    [(b"content-type", CompletionWriter.media_type)],
                )
            if pipeline.complete:
                backend.provider.report_success(*_token_counts(connection.stats, recovery))

    async def _stream(
        self,
        connection: Connection,
        request: ChatRequest,
        backend: Backend,
        completion: CompletionSession,
        opening: asyncio.Task[None],
    ) -> None:
        if not await self._wait_for_headers(backend, request, opening):
            await connection.start(200, _STREAM_HEADERS)
            await connection.write(sse.PING)
            async with connection.keepalive(self._heartbeat_payload(completion.pipeline)):
                try:
                    await opening
                except BridgeError as error:
                    await connection.write(completion.pipeline.abort(error))
                else:
                    await self._write_stream(connection, completion)
        else:
            await connection.start(200, _STREAM_HEADERS)
            async with connection.keepalive(self._heartbeat_payload(completion.pipeline)):
                await self._write_stream(connection, completion)
        await connection.end()

    def _heartbeat_payload(self, pipeline: ResponsePipeline) -> Callable[[], bytes]:
        """What a client gets that hears nothing for long."""
        if self._app_state.settings.progress == "off":
            return lambda: sse.PING
        return lambda: pipeline.heartbeat(self._app_state.inflight.waiting_reason)

    async def _wait_for_headers(
        self, backend: Backend, request: ChatRequest, opening: asyncio.Task[None]
    ) -> bool:
        """Whether the backend has accepted the question; False when it is silent for too long.

        Raises its refusal.
        """
        timeouts, started_at = self._timeouts, time.monotonic()
        if not await _finishes(opening, timeouts.before_counting):
            if not await backend.check_overflow(request):
                await _finishes(opening, started_at + timeouts.without_count - time.monotonic())
            if not opening.done():
                return False
        await opening
        return True

    async def _write_stream(self, connection: Connection, completion: CompletionSession) -> None:
        async for data in completion.stream():
            if data:
                await connection.write(data)

    def _pipeline(
        self,
        connection: Connection,
        request: ChatRequest,
        backend: Backend,
        answer_state: AnswerState,
    ) -> ResponsePipeline:
        head = ChunkHead(
            new_id("chatcmpl-"),
            int(time.time()),
            request.model or backend.default_model,
            request.wants_usage,
        )
        writer = StreamWriter(head) if request.streamed else CompletionWriter(head)
        scans = self._app_state.settings.tool_parsing != "native"
        make_parser = (lambda: self._app_state.parsers.parser(request, backend)) if scans else None
        return ResponsePipeline(
            backend.response_reader(request.tools),
            backend.map_error,
            writer,
            make_parser,
            request,
            connection.stats,
            answer_state,
        )

    def _headers(self, connection: Connection, backend: Backend) -> headers.RawHeaders:
        return headers.to_backend_without_body(connection.headers, backend.dropped_headers)


async def _open(
    stats: RequestStats, backend: Backend, request: ChatRequest, completion: CompletionSession
) -> None:
    await backend.provider.address()  # a model that has to be loaded first is waited for here
    with stats.measure_wait():
        await backend.admit(request)
    await completion.open()


def _route_request(request: ChatRequest) -> RouteRequest:
    last = exact_json.dumps(request.body["messages"][-1:])
    fingerprint = f"{request.size}:{hash((last, request.streamed))}"
    return RouteRequest(
        request.model, bool(request.tools), not request.body.get("tools"), fingerprint
    )


def _token_counts(stats: RequestStats, recovery: Recovery) -> tuple[int, int]:
    """How many tokens the question had, and how many of them the backend knew from before: not
    where it was asked twice.
    """
    usage = stats.usage
    return (
        (0, 0)
        if usage is None or stats.estimated or recovery.steps
        else (usage.prompt, usage.cached)
    )


async def _report_shutdown(connection: Connection, pipeline: ResponsePipeline) -> None:
    """Tell the client of a stream that its answer stops here.

    A client that does not read is not waited for.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SHUTDOWN_WRITE_TIMEOUT):
            await connection.write(
                pipeline.abort(ShuttingDown("this proxy is shutting down (connection lost)"))
            )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _finishes(task: asyncio.Task[None], seconds: float) -> bool:
    await asyncio.wait((task,), timeout=seconds)
    return task.done()
