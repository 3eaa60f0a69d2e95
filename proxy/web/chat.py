"""Endpoint for chat completions: forwards the parsed request, and streams or collects the answer.

The response headers of a stream are sent once the backend has accepted the request, so that a
refusal still gets an error status. If the backend is silent for too long, the headers are sent with
a first comment, to keep the connection open.
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
    """Seconds to wait for the backend before the response headers of a stream are sent."""

    # Then a backend that can count tokens is asked whether the prompt fits.
    before_counting: float = 5.0
    without_count: float = 20.0


class Chat:
    def __init__(self, app_state: AppState, timeouts: StreamStartTimeouts | None = None) -> None:
        self._app_state = app_state
        self._timeouts = timeouts or StreamStartTimeouts()

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] != "POST":
            raise MethodNotAllowed("method not allowed; use POST", headers={"allow": "POST"})
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
            # Only known now: the warning depends on the list of models.
            connection.stats.warning = backend.warning_for(request)

        # The callbacks run in reverse order, also if the client disconnects.
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
        """Return a function that makes the keep-alive payload of a silent stream.

        The payload is a plain comment if progress notes are off.
        """
        if self._app_state.settings.progress == "off":
            return lambda: sse.PING
        return lambda: pipeline.heartbeat(self._app_state.inflight.waiting_reason)

    async def _wait_for_headers(
        self, backend: Backend, request: ChatRequest, opening: asyncio.Task[None]
    ) -> bool:
        """Return whether the backend accepted the request within the timeouts.

        Returns False if the backend is still silent, and raises the error if it refused.
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
    await backend.provider.address()  # waits until the model is loaded
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
    """Return the number of prompt tokens, and how many of them were cached.

    Returns (0, 0) if the counts are unknown, estimated, or include recovery requests.
    """
    usage = stats.usage
    return (
        (0, 0)
        if usage is None or stats.estimated or recovery.steps
        else (usage.prompt, usage.cached)
    )


async def _report_shutdown(connection: Connection, pipeline: ResponsePipeline) -> None:
    """Send the client an error event about the shutdown.

    Waits at most `_SHUTDOWN_WRITE_TIMEOUT` for a client that does not read.
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
