"""Limits on the memory and time that a client can use before it is authenticated."""

import asyncio
import json

import httpx
import pytest

from proxy.web import connection, http_protocol
from tests.backend import Backend, Script, stream
from tests.bridge import bridge
from tests.patience import HANGS
from tests.web.raw_http import (
    BODY,
    CHAT,
    CHUNKED,
    HOST,
    LENGTH,
    Connect,
    get,
    post,
    refused,
    served,
)


async def test_what_is_asked_as_it_should_is_answered_also_twice(connect: Connect) -> None:
    client = await connect()
    for _ in range(2):
        await client.send(get())
        assert (await client.answer())[2] == b"p"
        await client.send(post(BODY, b"Content-Length: %d" % len(BODY)))
        assert json.loads((await client.answer())[2])["choices"][0]["message"]["content"] == "hi"


async def test_a_head_has_a_size(connect: Connect, script: Backend) -> None:
    for sent in (
        get("/props", *[b"X-%d: a" % number for number in range(100)]),
        get("/props", b"X-A: " + b"a" * http_protocol.HEAD_LIMIT),
        get("/" + "a" * http_protocol.HEAD_LIMIT),
        b"GET /props HTTP/1.1\r\nX-A: "
        + b"a" * http_protocol.HEAD_LIMIT
        + b"a",  # without the end of the head
        b"GET /" + b"a" * (http_protocol.HEAD_LIMIT + 1),
    ):
        client = await connect()
        await client.send(sent)
        assert "100 headers and 65,536 bytes" in await refused(client, 431, "head_too_large")
    assert script.asked == []
    client = await connect()
    await client.send(
        get("/props", *[b"X-%d: a" % number for number in range(90)], b"X-A: " + b"a" * 60_000)
    )
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    "endless",
    [b"5;" + b"x" * 70_000, b"0\r\n" + b"X-A: a\r\n" * 10_000, b"0\r\nX-A: " + b"a" * 70_000],
)
async def test_what_stands_between_the_pieces_of_a_body_has_a_size_too(
    endless: bytes, connect: Connect
) -> None:
    client = await connect()
    await client.send(post(b"", CHUNKED, b"Expect: 100-continue"))
    assert (await client.answer())[0] == 100
    await client.send(endless[: len(endless) // 2])
    await client.send(endless[len(endless) // 2 :])
    await client.rest()  # closed, with or without a response: the request had started


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
    assert b"more than 8 pipelined requests" in await client.rest()


async def test_who_sends_half_a_head_and_waits_is_dropped(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http_protocol.HEAD_TIMEOUT == 20.0
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.05)
    silent, half = await connect(), await connect()
    await half.send(get()[:-2])
    assert "not complete after" in await refused(half, 408, "request_timeout")
    assert await silent.rest() == b""
    again = await connect()
    await again.send(get())
    assert (await again.answer())[2] == b"p"
    await again.send(get()[:9])
    await refused(again, 408, "request_timeout")


async def test_who_sends_half_a_body_and_waits_is_dropped(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (connection.BODY_TIMEOUT, http_protocol.UNREAD_TIMEOUT) == (30.0, 5.0)
    monkeypatch.setattr(connection, "BODY_TIMEOUT", 0.05)
    monkeypatch.setattr(http_protocol, "UNREAD_TIMEOUT", 0.05)
    for path in (CHAT, "/v1/embeddings"):
        for head in (LENGTH, CHUNKED):
            client = await connect()
            await client.send(post(b"5\r\n{\r\n" if head == CHUNKED else BODY[:9], head, path=path))
            await refused(client, 408, "request_timeout")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    connect: Connect, script: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_TIMEOUT", 0.05)
    for path in (CHAT, "/v1/embeddings", "/props"):
        client = await connect()
        await client.send(
            post(b"{", b"Content-Length: 10737418240", b"Expect: 100-continue", path=path)
        )
        assert "larger than 67,108,864 bytes" in await refused(client, 413, "request_too_large")
    assert script.bodies == []


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
async def test_a_body_without_a_length_is_counted(
    path: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_LIMIT", 100_000)
    client = await connect()
    await client.send(post(b"", CHUNKED, path=path))
    await client.send((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 4)
    await refused(client, 413, "request_too_large", closed=False)


async def test_a_refused_client_that_stops_sending_may_ask_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_LIMIT", 100)
    client = await connect()
    await client.send(post(b" " * 200, b"Content-Length: 400"))
    await refused(client, 413, "request_too_large", closed=False)
    await client.send(b" " * 200 + get())
    assert (await client.answer())[2] == b"p"


async def test_a_tunnel_is_refused(connect: Connect) -> None:
    client = await connect()
    await client.send(b"CONNECT /x HTTP/1.1\r\n" + HOST + b"\r\n")
    await refused(client, 405, "method_not_allowed")


async def test_an_old_client_gets_no_chunks(script: Backend) -> None:
    """HTTP/1.0 has no chunked encoding.

    A response without a content-length ends with the connection.
    """
    script.on({"/props": stream(b"one", b"two")})
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(b"GET /props HTTP/1.0\r\n" + HOST + b"\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert (b"transfer-encoding" in head.lower(), body) == (False, b"onetwo")
        client = await connect()
        await client.send(b"GET /v1/models HTTP/1.0\r\n" + HOST + b"\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head.lower()
        assert b"connection: close" in head.lower()


async def test_a_slow_client_is_waited_for_and_the_backend_with_it(script: Backend) -> None:
    answer = stream(*[b"x" * 65_536] * 400)
    script.on({"/props": answer})
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(get())
        held = [0, -1]
        async with asyncio.timeout(HANGS):
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
