"""The connection to a server at home: of what it sends, no more is taken in than somebody asks for.

An event loop reads ahead, a quarter of a megabyte for each connection, and also for a client that reads nothing. Here the rest
waits in the kernel, and with it the backend.
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore
import httpx

PIECE = 4 * 1024


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await asyncio.sleep(0)  # what lies there already comes at once: others have their turn all the same
        async with _translated(httpcore.ReadTimeout, httpcore.ReadError, timeout):
            return await asyncio.get_running_loop().sock_recv(self._socket, min(max_bytes, PIECE))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        async with _translated(httpcore.WriteTimeout, httpcore.WriteError, timeout):
            await asyncio.get_running_loop().sock_sendall(self._socket, buffer)

    async def aclose(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Asked of a kept connection: one that has something to say without being asked has been closed at the other end."""
        if info != "is_readable":
            return None
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))


class _Network(httpcore.AsyncNetworkBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - nobody here asks for one, nor for options
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        async with _translated(httpcore.ConnectTimeout, httpcore.ConnectError, timeout):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            share = timeout / len(found) if timeout is not None else None
            for at in found[:-1]:
                with contextlib.suppress(OSError):  # a TimeoutError too: each has its share of the time
                    async with asyncio.timeout(share):
                        return await _connected(*at)
            return await _connected(*found[-1])


class Transport(httpx.AsyncHTTPTransport):
    def __init__(self, limits: httpx.Limits) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Network(),
        )


async def _connected(family: int, kind: int, protocol: int, _: str, address: Any) -> _Stream:
    connecting = socket.socket(family, kind, protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return _Stream(connecting)


@contextlib.asynccontextmanager
async def _translated(late: type[Exception], failed: type[Exception], seconds: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:
        raise failed(str(error)) from error
