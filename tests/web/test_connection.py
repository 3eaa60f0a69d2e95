"""Connection: reading and writing over ASGI's two callables, and noticing a disconnect."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

import pytest

from proxy.completion.request_stats import RequestStats
from proxy.errors import BodyTooLarge
from proxy.web import connection as connections
from proxy.web.connection import ClientDisconnected, Connection
from tests.patience import HANGS

GONE = {"type": "http.disconnect"}
START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}


class Server:
    """ASGI server that delivers the given messages, then waits.

    It records what is sent to it. Clearing `reads` makes `send` block, as for a slow client.
    """

    def __init__(self, *messages: MutableMapping[str, Any], method: str = "POST") -> None:
        self.coming = [*messages]
        self.more = asyncio.Event()
        self.sent: list[MutableMapping[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        record = RequestStats("id", method, "/")
        self.connection = Connection(
            {"method": method, "headers": [(b"a", b"b")]}, self._receive, self._send, record
        )

    async def _receive(self) -> MutableMapping[str, Any]:
        while not self.coming:
            self.more.clear()
            await self.more.wait()
        return self.coming.pop(0)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
        await self.reads.wait()

    def says(self, message: MutableMapping[str, Any]) -> None:
        self.coming.append(message)
        self.more.set()


def _piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_pieces() -> None:
    server = Server(
        _piece(b"a", more=True),
        _piece(b"", more=True),
        {"type": "http.request", "more_body": True},
        _piece(b"b", more=False),
    )
    assert await server.connection.body() == b"ab"
    assert server.connection.headers == [(b"a", b"b")]


async def test_a_body_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connections.BODY_LIMIT == 64 * 1024 * 1024
    monkeypatch.setattr(connections, "BODY_LIMIT", 1000)
    server = Server(*[_piece(b"x" * 100, more=True)] * 11)
    with pytest.raises(BodyTooLarge, match="larger than 1,000 bytes"):
        await server.connection.body()


async def test_a_client_that_leaves_in_the_middle_of_its_body() -> None:
    with pytest.raises(ClientDisconnected):
        await Server(_piece(b"a", more=True), GONE).connection.body()


async def test_work_is_done_and_its_error_is_raised() -> None:
    done: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(1)

    async def fail() -> None:
        raise KeyError("x")

    server = Server()
    await server.connection.run_until_disconnected(work())
    assert done == [1]
    with pytest.raises(KeyError, match="x"):
        await server.connection.run_until_disconnected(fail())


async def test_work_ends_when_the_client_leaves_which_is_seen_only_after_its_body() -> None:
    server = Server(_piece(b"a", more=True))
    pieces = server.connection.stream_body()
    cancelled: list[int] = []

    async def work() -> None:
        assert [piece async for piece in pieces] == [b"a", b"b"]
        server.says(_piece(b"late", more=False))
        server.says(GONE)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(1)

    asyncio.get_running_loop().call_soon(server.says, _piece(b"b", more=False))
    with pytest.raises(ClientDisconnected):
        await asyncio.wait_for(server.connection.run_until_disconnected(work()), HANGS)
    assert cancelled == [1]


async def test_work_goes_on_where_the_answer_is_complete() -> None:
    """An ASGI server also sends http.disconnect after a complete response."""
    done: list[int] = []
    server = Server()

    async def work() -> None:
        await server.connection.respond(200, b"a", [])
        server.says(GONE)
        await asyncio.sleep(0.01)
        done.append(1)

    await server.connection.run_until_disconnected(work())
    assert done == [1]


async def test_both_end_when_the_request_is_cancelled() -> None:
    server = Server()
    ended: list[int] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    task = asyncio.create_task(server.connection.run_until_disconnected(work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [1]


@pytest.mark.parametrize(("method", "body"), [("POST", b"abc"), ("HEAD", b"")])
async def test_an_answer_at_once(method: str, body: bytes) -> None:
    server = Server(method=method)
    await server.connection.respond(201, b"abc", [(b"x", b"y")])
    head = {
        "type": "http.response.start",
        "status": 201,
        "headers": [(b"x", b"y"), (b"content-length", b"3")],
    }
    assert server.sent == [head, {"type": "http.response.body", "body": body}]
    assert server.connection.started
    assert server.connection.stats.status == 201


async def test_pings_only_when_nothing_else_was_sent_and_only_within(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "PING_INTERVAL", 0.05)
    server = Server()
    await server.connection.start(200, [])
    began = time.monotonic()
    async with server.connection.keepalive():
        await asyncio.sleep(0.12)
        pings = server.sent[1:]
    assert 1 <= len(pings) <= (time.monotonic() - began) / 0.05
    assert all(
        ping == {"type": "http.response.body", "body": b": ping\n\n", "more_body": True}
        for ping in pings
    )
    await server.connection.end()
    await asyncio.sleep(0.06)
    assert server.sent == [START, *pings, {"type": "http.response.body", "body": b""}]


async def test_no_ping_for_a_client_that_is_slow_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has not yet read the data that was sent before."""
    monkeypatch.setattr(connections, "PING_INTERVAL", 0.01)
    server = Server()
    await server.connection.start(200, [])
    server.reads.clear()
    async with server.connection.keepalive():
        writing = asyncio.create_task(server.connection.write(b"data"))
        await asyncio.sleep(0.1)
        assert server.sent == [
            START,
            {"type": "http.response.body", "body": b"data", "more_body": True},
        ]
        server.reads.set()
        await writing


async def test_a_server_that_fails_to_send_a_ping_does_not_end_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "PING_INTERVAL", 0.01)

    async def send(message: MutableMapping[str, Any]) -> None:
        raise OSError("closed")

    connection = Connection(
        {"method": "POST", "headers": []}, Server()._receive, send, RequestStats("id", "POST", "/")
    )
    async with connection.keepalive():
        await asyncio.sleep(0.03)
