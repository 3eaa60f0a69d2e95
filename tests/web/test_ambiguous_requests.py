"""Ambiguous requests and responses.

An ambiguous request is refused in the usual shape, and nothing after it is parsed. An ambiguous
response of a backend does not corrupt the connection to the client.
"""

import asyncio
import json

import pytest

from proxy.app import create_app
from proxy.settings import load
from tests.backend import Backend
from tests.web.raw_http import (
    BODY,
    CHUNKED,
    HOST,
    IN_CHUNKS,
    LENGTH,
    Connect,
    get,
    post,
    refused,
    served,
)


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
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS handshake
    ],
)
async def test_what_has_no_one_meaning_is_refused_and_nothing_after_it_is_read(
    sent: bytes, connect: Connect, script: Backend
) -> None:
    client = await connect()
    await client.send(sent + get())
    await refused(client, 400, "invalid_request")
    assert [request.url.path for request in script.asked if request.url.path == "/props"] == []


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_another_protocol_is_offered_in_vain(
    offer: bytes, at_once: bool, connect: Connect, script: Backend
) -> None:
    """Java's client offers HTTP/2 with its first request.

    Neither the body of that request nor the next request may be lost.
    """
    offered = [
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: " + offer,
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    ]
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
async def test_odd_names_are_names_of_nothing_else(
    name: bytes, connect: Connect, script: Backend
) -> None:
    client = await connect()
    await client.send(post(BODY, LENGTH, name + b": 5"))
    assert (await client.answer())[0] == 200
    assert json.loads(script.bodies[-1])["messages"][0]["content"] == "hi"


async def test_two_hosts_or_none(connect: Connect) -> None:
    client = await connect()
    await client.send(b"GET /props HTTP/1.1\r\n" + HOST + b"Host: evil.example.com\r\n\r\n")
    assert "duplicate header: 'host'" in await refused(client, 400, "invalid_request", closed=False)
    await client.send(b"GET /props HTTP/1.1\r\n\r\n")
    await refused(client, 403, "forbidden", closed=False)


async def test_trailers_have_no_effect(connect: Connect, script: Backend) -> None:
    """Trailers grant no access and do not reach the backend."""
    client = await connect()
    chunks = IN_CHUNKS[:-2] + b"X-Late: 1\r\nOrigin: http://evil.example.com\r\nHost: evil\r\n\r\n"
    await client.send(post(chunks, CHUNKED) + get())
    assert (await client.answer())[0] == 200
    assert (await client.answer())[2] == b"p"
    assert not any("x-late" in request.headers for request in script.asked)


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (
            (
                b"200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
                b"0\r\n\r\n"
            ),
            200,
            b"hello",
        ),
        (
            (
                b"200 OK\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
                b"0\r\n\r\n"
            ),
            200,
            b"hello",
        ),
        (b"204 No Content\r\ncontent-length: 5\r\n\r\n", 204, b""),
        (b"304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
        (b"200 OK\r\ncontent-length: 5\r\nconnection: x-a\r\nx-a: 1\r\n\r\nhello", 200, b"hello"),
        (b"200 OK\r\n\r\nhello", 200, b"hello"),
    ],
)
async def test_the_content_length_of_the_backend(said: bytes, status: int, body: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + said)
        writer.close()

    backend = await asyncio.start_server(answers, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}"
    app = create_app(load({"BACKEND_URL": url, "BACKEND_KIND": "generic"}))
    async with served(app) as connect:
        for _ in range(2):  # the connection stays usable
            client = await connect()
            await client.send(get("/props") + get("/reload"))
            head = await client._reader.readuntil(b"\r\n\r\n")
            rest = await client._reader.readuntil(b"HTTP/1.1 405")
            assert int(head.split()[1]) == status
            assert b"x-a" not in head
            sent = rest.removesuffix(b"HTTP/1.1 405")
            assert sent == (
                body
                if b"content-length" in head or not body
                else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )
    await app.app_state.http.aclose()
    backend.close()
