"""HTTP client that sends raw bytes over a real socket to the protocol that production uses."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from uvicorn.server import ServerState

from proxy.app import Bridge
from proxy.web import http_protocol
from tests.patience import HANGS

CHAT = "/v1/chat/completions"
BODY = b'{"messages": [{"role": "user", "content": "hi"}]}'
HOST = b"Host: 127.0.0.1\r\n"


LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


class Raw:
    """Client that sends arbitrary bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one response that has a content-length."""
        async with asyncio.timeout(HANGS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head[1:-2])
            }
            return (
                int(head[0].split()[1]),
                headers,
                await self._reader.readexactly(int(headers.get("content-length", "0"))),
            )

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(HANGS):
            (said,) = await asyncio.gather(self._reader.read(), return_exceptions=True)
            return said if isinstance(said, bytes) else b""

    def close(self) -> None:
        self._writer.close()


Connect = Callable[[], Any]


class served:  # noqa: N801 - reads as a verb
    def __init__(self, app: Bridge) -> None:
        self._config = http_protocol.uvicorn_config(app)
        self._config.load()
        self._clients: list[Raw] = []

    async def __aenter__(self) -> Connect:
        state = ServerState()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: http_protocol.LimitedHttpProtocol(self._config, state, {}), "127.0.0.1", 0
        )
        self._state = state

        async def connect() -> Raw:
            reader, writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())
            client = Raw(reader, writer)
            self._clients.append(client)
            return client

        return connect

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self._server.close()
        async with asyncio.timeout(HANGS):
            await asyncio.gather(*self._state.tasks, return_exceptions=True)


def get(path: str = "/props", *headers: bytes) -> bytes:
    return b"".join(
        [
            f"GET {path} HTTP/1.1\r\n".encode(),
            HOST,
            *(header + b"\r\n" for header in headers),
            b"\r\n",
        ]
    )


def post(body: bytes, *headers: bytes, path: str = CHAT) -> bytes:
    return b"".join(
        [
            f"POST {path} HTTP/1.1\r\n".encode(),
            HOST,
            *(header + b"\r\n" for header in headers),
            b"\r\n",
            body,
        ]
    )


async def refused(client: Raw, status: int, code: str, *, closed: bool = True) -> str:
    """Read an error response, check its JSON shape and request id, and return its message."""
    found, headers, body = await client.answer()
    error = json.loads(body)["error"]
    assert (found, error["code"], headers["content-type"]) == (status, code, "application/json")
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert re.fullmatch("req_[a-z]{12}", error["request_id"])
    assert headers["x-request-id"] == error["request_id"]
    if closed:
        assert await client.rest() == b""
    return str(error["message"])
