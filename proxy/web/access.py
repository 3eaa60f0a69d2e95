"""The door: who may come in, which request this is, and one shape for everything that goes wrong behind it.

A web page anywhere must not reach a model server at home: neither by a name that it points at us (Host), nor by a form or a
script of its own (Origin).
"""

import asyncio
import hmac
import ipaddress
import secrets
import string
from collections.abc import Awaitable, Callable

import orjson

from proxy.backends.http import MARK
from proxy.errors import BridgeError, Forbidden, Loop, Stopping, Unauthorized
from proxy.web import headers
from proxy.web.connection import ClientGone, Connection, Receive, Scope, Send
from proxy.web.house import House
from proxy.web.record import Record, log

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATH = "/health"


class Door:
    def __init__(self, house: House, inside: Application) -> None:
        self._house = house
        self._inside = inside
        self._answering: set[asyncio.Task[object]] = set()
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
        for task in self._answering:
            task.cancel()

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        id = "req_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
        record = Record(id, scope["method"], scope["path"])
        connection = Connection(scope, receive, _with_id(send, id), record)
        scope["connection"] = connection
        task = asyncio.current_task()
        assert task is not None  # a server calls us in one
        self._answering.add(task)
        try:
            self._let_in(connection)
            await self._inside(scope, receive, send)
        except ClientGone:
            record.status = None
        except BridgeError as error:
            await _refuse(connection, error)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            await _refuse(connection, Stopping("this proxy is shutting down"))
        except Exception:
            log.exception("%s failed; please report it", id)
            await _refuse(connection, BridgeError(f"llama-bridge itself failed; its log says more under {id}"))
        finally:
            self._answering.discard(task)
            record.write()

    def _let_in(self, connection: Connection) -> None:
        scope = connection.scope
        if any(self._house.http.mark in value for name, value in connection.headers if name == MARK):
            raise Loop("this request has been here before: BACKEND_URL leads back to this proxy")
        host = headers.first(connection.headers, b"host") or ""
        if not self._is_ours(_name(host), scope):
            raise Forbidden(f"{_name(host)!r} is no name of this server; if it should be, add it to ALLOWED_HOSTS")
        origin = headers.first(connection.headers, b"origin")
        if origin is not None:
            _, _, from_host = origin.partition("://")
            if from_host != host and _name(from_host) not in self._house.settings.allowed_hosts:
                raise Forbidden(f"web pages of {origin!r} may not use this server; if they should, add the name to ALLOWED_HOSTS")
        if self._house.keys and scope["path"] != OPEN_PATH and not self._has_key(connection):
            raise Unauthorized("a key of this proxy is needed: authorization: Bearer KEY", headers={"www-authenticate": "Bearer"})

    def _is_ours(self, name: str, scope: Scope) -> bool:
        settings = self._house.settings
        if name in ("localhost", settings.proxy_host.lower(), *settings.allowed_hosts):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        server = scope.get("server")
        return address.is_loopback or (server is not None and server[0] == str(address))

    def _has_key(self, connection: Connection) -> bool:
        bearer = headers.first(connection.headers, b"authorization") or ""
        scheme, _, token = bearer.partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.first(connection.headers, b"x-api-key") or ""
        return sum(hmac.compare_digest(given.encode("latin-1"), key.encode()) for key in self._house.keys) > 0  # all, whichever fits


async def _refuse(connection: Connection, error: BridgeError) -> None:
    connection.record.note = connection.record.note or error.brief
    if connection.started:
        return  # without an end: the client sees that something is missing
    body = orjson.dumps(error.body())
    extra = [(name.encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()]
    await connection.answer(error.status, body, [(b"content-type", b"application/json"), *extra])


def _with_id(send: Send, id: str) -> Send:
    async def with_id(message: Scope) -> None:
        if message["type"] == "http.response.start":
            others = [(name, value) for name, value in message["headers"] if name != b"x-request-id"]
            message["headers"] = [*others, (b"x-request-id", id.encode())]
        await send(message)

    return with_id


def _name(host: str) -> str:
    """Without the port, and without the brackets of IPv6."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.strip("[]").lower().removesuffix(".")
