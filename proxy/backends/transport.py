"""HTTP transport for private servers that reads no more than is consumed.

The streams of asyncio buffer up to a quarter of a megabyte for each connection, even if the client
does not read. With this transport, unread data stays in the kernel, and the backend waits.
"""

import asyncio
import contextlib
import errno
import select
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpcore
import httpx

from proxy.errors import Overloaded

# This size reads 150 MB/s. Twice the size would cost 15 MB more for a thousand clients that do not
# read.
READ_SIZE = 4 * 1024


def _keepalive() -> Iterator[tuple[int, int, int]]:
    """Yield the socket options that detect a dead link.

    After 30 s of silence the kernel sends a probe every 10 s, and gives up after 6 of them.
    """
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    # TCP_KEEPALIVE is the name of TCP_KEEPIDLE on macOS.
    seconds = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
    yield from (
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in seconds.items()
        if hasattr(socket, name)
    )


SOCKET_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *_keepalive())


class _SocketStream(httpcore.AsyncNetworkStream):
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # sock_recv does not yield if data is available, so give other tasks a turn here.
        await asyncio.sleep(0)
        async with _mapped_errors(httpcore.ReadTimeout, httpcore.ReadError, timeout):
            return await asyncio.get_running_loop().sock_recv(
                self._socket, min(max_bytes, READ_SIZE)
            )

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        async with _mapped_errors(httpcore.WriteTimeout, httpcore.WriteError, timeout):
            await asyncio.get_running_loop().sock_sendall(self._socket, buffer)

    async def aclose(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Return whether the socket is readable, the only value of `info` that is supported.

        The pool of httpcore takes a readable idle connection for one that the server has closed.
        """
        if info != "is_readable":
            return None
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))


class _NetworkBackend(httpcore.AsyncNetworkBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        # This proxy sets neither of them.
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        async with _mapped_errors(httpcore.ConnectTimeout, httpcore.ConnectError, timeout):
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
            share = timeout / len(found) if timeout is not None else None
            for at in found[:-1]:
                # OSError includes TimeoutError: each address gets its share of the time.
                with contextlib.suppress(OSError):
                    async with asyncio.timeout(share):
                        return await _connect(*at)
            return await _connect(*found[-1])


class Transport(httpx.AsyncHTTPTransport):
    def __init__(self, limits: httpx.Limits) -> None:
        # httpx calls only the methods that ConnectionPool has.
        self._pool = ConnectionPool(limits)  # type: ignore[assignment]


class ConnectionPool:
    """Pool of connections, each in use by one request, idle, or closed.

    The pool of httpcore leaks a connection if a request is cancelled right after connecting, or
    while a response is being closed.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        connection = await self._acquire(request.url.origin)
        try:
            response = await connection.handle_async_request(request)
        except BaseException:  # also on cancellation, or the connection would leak
            await connection.aclose()
            raise
        body = _ResponseBody(response.stream, connection, self)
        return httpcore.Response(
            response.status, headers=response.headers, content=body, extensions=response.extensions
        )

    async def _acquire(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        for kept in [kept for kept in self._idle if kept.has_expired()]:
            await self._close(kept)
        for kept in reversed(self._idle):
            if kept.can_handle_request(origin):
                self._idle.remove(kept)
                return kept
        return httpcore.AsyncHTTPConnection(
            origin,
            keepalive_expiry=self._limits.keepalive_expiry,
            network_backend=_NetworkBackend(),
        )

    async def release(self, connection: httpcore.AsyncHTTPConnection) -> None:
        if not connection.is_idle():
            await connection.aclose()
            return
        self._idle.append(connection)
        if len(self._idle) > (self._limits.max_keepalive_connections or 0):
            await self._close(self._idle[0])

    async def aclose(self) -> None:
        for kept in list(self._idle):
            await self._close(kept)

    async def _close(self, connection: httpcore.AsyncHTTPConnection) -> None:
        self._idle.remove(connection)
        await connection.aclose()


class _ResponseBody:
    """Body of a response, which returns its connection to the pool when it is closed."""

    def __init__(
        self, body: Any, connection: httpcore.AsyncHTTPConnection, connections: ConnectionPool
    ) -> None:
        self._body = body
        self._connection = connection
        self._connections = connections

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            await self._connections.release(self._connection)


async def _connect(family: int, kind: int, protocol: int, _: str, address: Any) -> _SocketStream:
    try:
        connecting = socket.socket(family, kind, protocol)
    except OSError as error:
        if error.errno in (
            errno.EMFILE,
            errno.ENFILE,
        ):  # the limit of this process, not of the backend
            raise Overloaded(
                "this proxy has no file descriptor left for a connection to the backend; "
                "raise `ulimit -n`"
            ) from error
        raise
    try:
        connecting.setblocking(False)
        for option in SOCKET_OPTIONS:
            connecting.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:  # also on cancellation or timeout, or the socket would leak
        connecting.close()
        raise
    return _SocketStream(connecting)


@contextlib.asynccontextmanager
async def _mapped_errors(
    late: type[Exception], failed: type[Exception], seconds: float | None
) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:
        raise failed(str(error)) from error
