"""Raw bytes over a real socket: what has no one meaning is refused in the one shape, and nobody holds a place with half a request."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from uvicorn.server import ServerState

from proxy.app import Bridge, create_app
from proxy.settings import load
from proxy.web import connection, wire
from tests.backend import END, Backend, Script, models, stream, text
from tests.bridge import bridge

CHAT = "/v1/chat/completions"
BODY = b'{"messages": [{"role": "user", "content": "hi"}]}'
HOST = b"Host: 127.0.0.1\r\n"


class Raw:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One answer with a length, as a client reads it."""
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
            return int(head[0].split()[1]), headers, await self._reader.readexactly(int(headers.get("content-length", "0")))

    async def rest(self) -> bytes:
        """Until the server ends the connection."""
        async with asyncio.timeout(10):
            (said,) = await asyncio.gather(self._reader.read(), return_exceptions=True)
            return said if isinstance(said, bytes) else b""

    def close(self) -> None:
        self._writer.close()


Connect = Callable[[], Any]


@pytest.fixture
def script() -> Backend:
    return Backend(
        {"/v1/models": models("m"), CHAT: lambda _: stream(*text("hi"), *END), "/props": lambda _: httpx.Response(200, text="p")}
    )


@pytest.fixture
async def connect(script: Backend) -> AsyncIterator[Connect]:
    async with served(bridge(script)) as connect:
        yield connect


class served:  # noqa: N801 - reads as a verb
    def __init__(self, app: Bridge) -> None:
        self._config = wire.configuration(app)
        self._config.load()
        self._clients: list[Raw] = []

    async def __aenter__(self) -> Connect:
        state = ServerState()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: wire.Wire(self._config, state, {}), "127.0.0.1", 0)
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
        async with asyncio.timeout(10):
            await asyncio.gather(*self._state.tasks, return_exceptions=True)


def get(path: str = "/props", *headers: bytes) -> bytes:
    return b"".join([f"GET {path} HTTP/1.1\r\n".encode(), HOST, *(header + b"\r\n" for header in headers), b"\r\n"])


def post(body: bytes, *headers: bytes, path: str = CHAT) -> bytes:
    return b"".join([f"POST {path} HTTP/1.1\r\n".encode(), HOST, *(header + b"\r\n" for header in headers), b"\r\n", body])


async def refused(client: Raw, status: int, code: str, *, closed: bool = True) -> str:
    """In the one shape, with the id that the log names too."""
    found, headers, body = await client.answer()
    error = json.loads(body)["error"]
    assert (found, error["code"], headers["content-type"]) == (status, code, "application/json")
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert re.fullmatch("req_[a-z]{12}", error["request_id"])
    assert headers["x-request-id"] == error["request_id"]
    if closed:
        assert await client.rest() == b""
    return str(error["message"])


async def test_what_is_asked_as_it_should_is_answered_also_twice(connect: Connect) -> None:
    client = await connect()
    for _ in range(2):
        await client.send(get())
        assert (await client.answer())[2] == b"p"
        await client.send(post(BODY, b"Content-Length: %d" % len(BODY)))
        assert json.loads((await client.answer())[2])["choices"][0]["message"]["content"] == "hi"


LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    "sent",
    [
        post(BODY, LENGTH, b"Content-Length: 5"),
        post(BODY, LENGTH, LENGTH),
        post(IN_CHUNKS, b"Content-Length: 5", CHUNKED),
        post(IN_CHUNKS, CHUNKED, b"Content-Length: 5"),
        post(BODY, b"Content-Length: +5"),
        post(BODY, b"Content-Length: 5, 5"),
        post(BODY, b"Content-Length: -1"),
        post(BODY, b"Content-Length: 0x5"),
        post(BODY, b"Content-Length: 99999999999999999999999"),
        post(BODY, b"Content-Length : 5"),
        post(IN_CHUNKS, b"Transfer-Encoding : chunked"),
        post(IN_CHUNKS, b"Transfer-Encoding: xchunked"),
        post(IN_CHUNKS, b"Transfer-Encoding: chunked, identity"),
        post(IN_CHUNKS, b"Transfer-Encoding:\x0bchunked"),
        post(IN_CHUNKS, b"Transfer-Encoding: gzip, chunked"),
        post(IN_CHUNKS, b"Transfer-Encoding: identity", CHUNKED),
        post(IN_CHUNKS, CHUNKED, CHUNKED),
        post(BODY, b"Content-Length:\r\n %d" % len(BODY)),
        post(BODY, LENGTH, b"X-A: a\r\n b"),
        post(BODY, LENGTH).replace(b"\r\n", b"\n"),
        post(BODY, b"X-A: a\nContent-Length: 5", LENGTH),
        post(IN_CHUNKS.replace(b"\r\n", b"\n"), CHUNKED),
        post(b"%x;a\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), CHUNKED),
        post(b"+" + IN_CHUNKS, CHUNKED),
        post(b"0x" + IN_CHUNKS, CHUNKED),
        post(b"zz\r\n" + BODY, CHUNKED),
        post(b"5\rx", CHUNKED),
        get("/props", b"X-A: a\x00b"),
        get("/props", b"X-A: a\rX-B: b"),
        get("/props", b"X A: a"),
        get("/props", b": a"),
        get("/props", b"no colon"),
        get("/props", "Ä: a".encode()),
        b"GET /props HTTP/2.0\r\n" + HOST + b"\r\n",
        b"GET /props HTTP/0.9\r\n" + HOST + b"\r\n",
        b"GET /props\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /props HTTP/3.0\r\n" + HOST + b"\r\n",
        b"BREW /props HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /pr\x00ops HTTP/1.1\r\n" + HOST + b"\r\n",
        "GET /prö HTTP/1.1\r\n".encode() + HOST + b"\r\n",
        b"GET http://evil.example.com/props HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT 10.0.0.5:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS
    ],
)
async def test_what_has_no_one_meaning_is_refused_and_nothing_after_it_is_read(sent: bytes, connect: Connect, script: Backend) -> None:
    client = await connect()
    await client.send(sent + get())
    await refused(client, 400, "invalid_request")
    assert [request.url.path for request in script.asked if request.url.path == "/props"] == []


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_another_protocol_is_offered_in_vain(offer: bytes, at_once: bool, connect: Connect, script: Backend) -> None:
    """Java's client does so with every first question; neither its body nor what it asks next may be lost."""
    offered = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + offer, b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"]
    for sent in (post(BODY, LENGTH, *offered), post(IN_CHUNKS, CHUNKED, *offered)):
        client = await connect()
        for piece in [sent + get()] if at_once else [sent[:40], sent[40:-60], sent[-60:], get()]:
            await client.send(piece)
        assert (await client.answer())[0] == 200
        assert (await client.answer())[2] == b"p"
    assert [question["messages"][0]["content"] for question in script.questions()] == ["hi"] * 2
    client = await connect()
    await client.send(get("/props", *offered) + get())
    assert [(await client.answer())[2] for _ in range(2)] == [b"p"] * 2
    assert not any("upgrade" in request.headers for request in script.asked)


@pytest.mark.parametrize("name", [b"Content_Length", b"Transfer_Encoding", b"X_Api_Key", b"Host_"])
async def test_odd_names_are_names_of_nothing_else(name: bytes, connect: Connect, script: Backend) -> None:
    client = await connect()
    await client.send(post(BODY, LENGTH, name + b": 5"))
    assert (await client.answer())[0] == 200
    assert json.loads(script.bodies[-1])["messages"][0]["content"] == "hi"


async def test_two_hosts_or_none(connect: Connect) -> None:
    client = await connect()
    await client.send(b"GET /props HTTP/1.1\r\n" + HOST + b"Host: evil.example.com\r\n\r\n")
    assert "'host' stands there twice" in await refused(client, 400, "invalid_request", closed=False)
    await client.send(b"GET /props HTTP/1.1\r\n\r\n")
    await refused(client, 403, "forbidden", closed=False)


async def test_what_comes_after_the_body_speaks_for_nobody(connect: Connect, script: Backend) -> None:
    """Trailers are not headers: none of them opens a door or reaches the backend."""
    client = await connect()
    chunks = IN_CHUNKS[:-2] + b"X-Late: 1\r\nOrigin: http://evil.example.com\r\nHost: evil\r\n\r\n"
    await client.send(post(chunks, CHUNKED) + get())
    assert (await client.answer())[0] == 200
    assert (await client.answer())[2] == b"p"
    assert not any("x-late" in request.headers for request in script.asked)


async def test_a_head_has_a_size(connect: Connect, script: Backend) -> None:
    for sent in (
        get("/props", *[b"X-%d: a" % number for number in range(100)]),
        get("/props", b"X-A: " + b"a" * wire.HEAD_LIMIT),
        get("/" + "a" * wire.HEAD_LIMIT),
        b"GET /props HTTP/1.1\r\nX-A: " + b"a" * wire.HEAD_LIMIT + b"a",  # and no end
        b"GET /" + b"a" * (wire.HEAD_LIMIT + 1),
    ):
        client = await connect()
        await client.send(sent)
        assert "100 headers and 65,536 bytes" in await refused(client, 431, "head_too_large")
    assert script.asked == []
    client = await connect()
    await client.send(get("/props", *[b"X-%d: a" % number for number in range(90)], b"X-A: " + b"a" * 60_000))
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize("endless", [b"5;" + b"x" * 70_000, b"0\r\n" + b"X-A: a\r\n" * 10_000, b"0\r\nX-A: " + b"a" * 70_000])
async def test_what_stands_between_the_pieces_of_a_body_has_a_size_too(endless: bytes, connect: Connect) -> None:
    client = await connect()
    await client.send(post(b"", CHUNKED, b"Expect: 100-continue"))
    assert (await client.answer())[0] == 100
    await client.send(endless[: len(endless) // 2])
    await client.send(endless[len(endless) // 2 :])
    await client.rest()  # cut, answered or not: the question had been begun


async def test_many_small_pieces_are_a_body(connect: Connect) -> None:
    client = await connect()
    padded = BODY[:-1] + b" " * 40_000 + b"}"
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in padded) + b"0\r\n\r\n"
    await client.send(post(pieces, CHUNKED))
    assert (await client.answer())[0] == 200


async def test_many_requests_at_once_over_one_connection(connect: Connect) -> None:
    client = await connect()
    await client.send(get() * 5)
    assert [(await client.answer())[2] for _ in range(5)] == [b"p"] * 5
    await client.send(get() * 50)
    assert b"more than 8 requests were sent at once" in await client.rest()


async def test_who_sends_half_a_head_and_waits_is_dropped(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wire.HEAD_SECONDS == 20.0
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.05)
    silent, half = await connect(), await connect()
    await half.send(get()[:-2])
    assert "not complete after" in await refused(half, 408, "half_request")
    assert await silent.rest() == b""
    again = await connect()
    await again.send(get())
    assert (await again.answer())[2] == b"p"
    await again.send(get()[:9])
    await refused(again, 408, "half_request")


async def test_who_sends_half_a_body_and_waits_is_dropped(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (connection.BODY_SECONDS, wire.UNREAD_SECONDS) == (30.0, 5.0)
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(wire, "UNREAD_SECONDS", 0.05)
    for path in (CHAT, "/v1/embeddings"):
        for head in (LENGTH, CHUNKED):
            client = await connect()
            await client.send(post(b"5\r\n{\r\n" if head == CHUNKED else BODY[:9], head, path=path))
            await refused(client, 408, "half_request")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    connect: Connect, script: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "UNREAD_SECONDS", 0.05)
    for path in (CHAT, "/v1/embeddings", "/props"):
        client = await connect()
        await client.send(post(b"{", b"Content-Length: 10737418240", b"Expect: 100-continue", path=path))
        assert "larger than 67,108,864 bytes" in await refused(client, 413, "request_too_large")
    assert script.bodies == []


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
async def test_a_body_that_says_no_length_is_counted(path: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_LIMIT", 100_000)
    client = await connect()
    await client.send(post(b"", CHUNKED, path=path))
    await client.send((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 4)
    await refused(client, 413, "request_too_large", closed=False)


async def test_a_refused_client_that_stops_sending_may_ask_again(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BODY_LIMIT", 100)
    client = await connect()
    await client.send(post(b" " * 200, b"Content-Length: 400"))
    await refused(client, 413, "request_too_large", closed=False)
    await client.send(b" " * 200 + get())
    assert (await client.answer())[2] == b"p"


async def test_a_slow_client_is_waited_for_and_the_backend_with_it(script: Backend) -> None:
    answer = stream(*[b"x" * 65_536] * 400)
    script.answers["/props"] = answer
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(get())
        held = [0, -1]
        async with asyncio.timeout(10):
            while held[-1] != held[-2]:
                await asyncio.sleep(0.1)
                held.append(script_of(answer).sent)
        assert held[-1] < 400
        assert (await client._reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        received = 0
        while received < 400 * 65_536:
            received += len(await client._reader.read(1 << 20))


def script_of(response: httpx.Response) -> Script:
    assert isinstance(response.stream, Script)
    return response.stream


async def test_nonsense_in_the_middle_of_an_answer_ends_it(script: Backend) -> None:
    """Nothing is written into the answer that is under way, and the backend is let go."""
    answer = stream(b"begun", asyncio.Event())
    script.answers["/props"] = answer
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(get())
        assert (await client._reader.readuntil(b"begun")).startswith(b"HTTP/1.1 200")
        await client.send(b"zz\r\n\r\n")
        assert await client.rest() == b"\r\n"
    assert script_of(answer).closed


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
        (b"200 OK\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
        (b"204 No Content\r\ncontent-length: 5\r\n\r\n", 204, b""),
        (b"304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
        (b"200 OK\r\ncontent-length: 5\r\nconnection: x-a\r\nx-a: 1\r\n\r\nhello", 200, b"hello"),
        (b"200 OK\r\n\r\nhello", 200, b"hello"),
    ],
)
async def test_what_a_backend_says_of_the_length_of_its_answer(said: bytes, status: int, body: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + said)
        writer.close()

    backend = await asyncio.start_server(answers, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}"
    app = create_app(load({"BACKEND_URL": url, "BACKEND_KIND": "generic"}))
    async with served(app) as connect:
        for _ in range(2):  # the connection goes on
            client = await connect()
            await client.send(get("/props") + get("/reload"))
            head = await client._reader.readuntil(b"\r\n\r\n")
            rest = await client._reader.readuntil(b"HTTP/1.1 405")
            assert int(head.split()[1]) == status
            assert b"x-a" not in head
            sent = rest.removesuffix(b"HTTP/1.1 405")
            assert sent == (body if b"content-length" in head or not body else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    await app.house.http.aclose()
    backend.close()
