"""Middleware for every request: id, access control, request limit, error responses, log line."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson

from proxy.completion.request_stats import RequestStats, logger, new_request_id
from proxy.errors import BridgeError, MethodNotAllowed, Overloaded, ShuttingDown
from proxy.web.access_control import AccessControl
from proxy.web.connection import ClientDisconnected, Connection, Receive, Scope, Send, UploadBudget
from proxy.web.headers import RawHeaders
from proxy.web.state import AppState

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
UNCOUNTED_PATHS = frozenset({"/", "/health"})  # status requests do not count towards MAX_REQUESTS


class RequestMiddleware:
    def __init__(self, app_state: AppState, app: Application) -> None:
        self._app_state = app_state
        self._access_control = AccessControl(app_state)
        self._app = app
        self._running: dict[asyncio.Task[object], Connection] = {}
        self._upload_budget = UploadBudget()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
        else:
            await self._request(scope, receive, send)

    def close(self) -> None:
        """Cancel every request in flight, because the process is about to exit."""
        self._closing = True
        for task, connection in self._running.items():
            connection.shutting_down = True
            task.cancel()

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        id = new_request_id()
        stats = RequestStats(id, scope["method"], scope["raw_path"].decode("latin-1"))
        own_headers: RawHeaders = [(b"x-request-id", id.encode())]
        connection = Connection(
            scope, receive, _with_headers(own_headers, send), stats, self._upload_budget
        )
        own_headers += self._access_control.cors_headers(connection)
        scope["connection"] = connection
        task = asyncio.current_task()
        assert task is not None  # ASGI servers call this in a task
        self._running[task] = connection
        try:
            await self._dispatch(connection, receive, send)
        except ClientDisconnected:
            stats.status = None
        except BridgeError as error:
            await _respond_error(connection, error)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            await _respond_error(connection, ShuttingDown("this proxy is shutting down"))
        # A bug in llama-bridge: log the traceback, and respond with an error.
        except Exception:
            logger.exception(
                "%s failed with an internal error; please report it",
                id,
                extra={"figures": {"id": id}},
            )
            await _respond_error(
                connection,
                BridgeError(f"internal error in llama-bridge; see its log for request {id}"),
            )
        finally:
            del self._running[task]
            self._app_state.inflight.finish(stats)
            stats.write()

    async def _dispatch(self, connection: Connection, receive: Receive, send: Send) -> None:
        scope, inflight = connection.scope, self._app_state.inflight
        self._access_control.check(connection)
        # The backend would echo the forwarded headers, among them its API key.
        if scope["method"] == "TRACE":
            raise MethodNotAllowed("TRACE is not supported", headers={"allow": ALLOWED_METHODS})
        if self._access_control.is_preflight(connection):
            await connection.respond(204, b"", [])
            return
        if scope["path"] not in UNCOUNTED_PATHS:
            if len(inflight) >= (limit := self._app_state.settings.max_requests):
                raise Overloaded(f"too many requests in flight (MAX_REQUESTS={limit}); retry later")
            inflight.start(connection.stats)
        await self._app(scope, receive, send)


async def _respond_error(connection: Connection, error: BridgeError) -> None:
    connection.stats.error = connection.stats.error or error.summary
    if connection.started:
        return  # the server closes the connection, so the client notices the incomplete response
    body = orjson.dumps(connection.stats.with_request_id(error.body()))
    extra = [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()
    ]
    await connection.respond(error.status, body, [(b"content-type", b"application/json"), *extra])


def _with_headers(own_headers: RawHeaders, send: Send) -> Send:
    """Wrap `send` to add `own_headers`, which replace headers of the same name (except `vary`)."""

    async def sends(message: Scope) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in own_headers} - {b"vary"}
            message["headers"] = [
                *((name, value) for name, value in message["headers"] if name not in names),
                *own_headers,
            ]
        await send(message)

    return sends
