"""The door: which request this is, whether it may come in, and one shape for everything that
goes wrong behind it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import orjson

from proxy.completion.request_stats import Record, log, new_request_id
from proxy.errors import BridgeError, Busy, NotAllowed, Stopping
from proxy.web.access_control import Permission
from proxy.web.connection import ClientGone, Connection, Receive, Scope, Send, Uploads
from proxy.web.headers import RawHeaders
from proxy.web.state import House

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
LOOKS = frozenset({"/", "/health"})  # whoever only looks at us takes nobody's place


class Door:
    def __init__(self, house: House, inside: Application) -> None:
        self._house = house
        self._permission = Permission(house)
        self._inside = inside
        self._answering: dict[asyncio.Task[object], Connection] = {}
        self._uploads = Uploads()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
        else:
            await self._request(scope, receive, send)

    def close(self) -> None:
        """Ends every answer that is under way: the process is about to end."""
        self._closing = True
        for task, connection in self._answering.items():
            connection.closing = True
            task.cancel()

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        id = new_request_id()
        record = Record(id, scope["method"], scope["raw_path"].decode("latin-1"))
        ours: RawHeaders = [(b"x-request-id", id.encode())]
        connection = Connection(scope, receive, _with(ours, send), record, self._uploads)
        ours += self._permission.cross_origin(connection)
        scope["connection"] = connection
        task = asyncio.current_task()
        assert task is not None  # a server calls us in one
        self._answering[task] = connection
        try:
            await self._enter(connection, receive, send)
        except ClientGone:
            record.status = None
        except BridgeError as error:
            await _refuse(connection, error)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            await _refuse(connection, Stopping("this proxy is shutting down"))
        # A defect of ours: it is logged whole, and the client has an answer all the same.
        except Exception:
            log.exception("%s failed; please report it", id, extra={"figures": {"id": id}})
            await _refuse(
                connection, BridgeError(f"llama-bridge itself failed; its log says more under {id}")
            )
        finally:
            del self._answering[task]
            self._house.ledger.ends(record)
            record.write()

    async def _enter(self, connection: Connection, receive: Receive, send: Send) -> None:
        scope, ledger = connection.scope, self._house.ledger
        self._permission.demand(connection)
        # The backend would show the headers that it got, its key among them.
        if scope["method"] == "TRACE":
            raise NotAllowed("TRACE is not served", headers={"allow": ALLOWED})
        if self._permission.is_preflight(connection):
            await connection.answer(204, b"", [])
            return
        if scope["path"] not in LOOKS:
            if len(ledger) >= (most := self._house.settings.max_requests):
                raise Busy(f"as many requests are being answered as MAX_REQUESTS allows: {most}")
            ledger.begins(connection.record)
        await self._inside(scope, receive, send)


async def _refuse(connection: Connection, error: BridgeError) -> None:
    connection.record.note = connection.record.note or error.brief
    if connection.started:
        return  # without an end: the client sees that something is missing
    body = orjson.dumps(connection.record.named(error.body()))
    extra = [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()
    ]
    await connection.answer(error.status, body, [(b"content-type", b"application/json"), *extra])


def _with(ours: RawHeaders, send: Send) -> Send:
    """Of what we say ourselves, nothing is said by the backend too."""

    async def sends(message: Scope) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in ours} - {b"vary"}
            message["headers"] = [
                *((name, value) for name, value in message["headers"] if name not in names),
                *ours,
            ]
        await send(message)

    return sends
