"""Foreign errors are translated at the border; a kept connection that died is no error at all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from proxy.backends.http import HttpClient, default_transport
from proxy.errors import AnswerInterrupted, BackendTimeout, BridgeError, Unavailable
from tests.backend import Backend, Piece, script_of, stream

URL = "http://10.0.0.5:1/v1/models"


def _http(*answers: Any) -> tuple[HttpClient, Backend]:
    backend = Backend({"/v1/models": list(answers)})
    return HttpClient(backend), backend


def _request() -> httpx.Request:
    return httpx.Request("GET", URL)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ConnectTimeout("slow"), Unavailable),
        (httpx.ReadTimeout("slow"), BackendTimeout),
        (httpx.WriteTimeout("slow"), BackendTimeout),
        (httpx.ProxyError("no"), Unavailable),
        (httpx.UnsupportedProtocol("no"), Unavailable),
        (httpx.RemoteProtocolError("closed"), AnswerInterrupted),
        (httpx.ReadError("reset"), AnswerInterrupted),
    ],
)
async def test_every_transport_error_is_one_of_ours(
    error: Exception, kind: type[BridgeError]
) -> None:
    for send in (_http(error)[0].send, _http(error)[0].send_retryable):
        with pytest.raises(kind, match=r"10\.0\.0\.5:1"):
            await send(_request())


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (
            "All connection attempts failed",
            "cannot connect to http://10.0.0.5:1; check that the backend is running",
        ),
        (
            "[Errno -2] Name or service not known",
            "cannot resolve http://10.0.0.5:1; check the network connection and BACKEND_URL",
        ),
        (
            "[Errno -3] Temporary failure in name resolution",
            "cannot resolve http://10.0.0.5:1; check the network connection",
        ),
        (
            "[Errno 8] nodename nor servname provided, or not known",
            "cannot resolve http://10.0.0.5:1",
        ),
        (
            (
                "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
                "self-signed certificate (_ssl.c:1006)"
            ),
            (
                "no secure connection to http://10.0.0.5:1 (certificate verify failed: "
                "self-signed certificate); check that the server uses https"
            ),
        ),
    ],
)
async def test_why_a_connection_fails(why: str, told: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await _http(httpx.ConnectError(why))[0].send_retryable(_request())
    assert caught.value.message.startswith(told)


async def test_a_connection_that_was_closed_meanwhile_is_tried_once_more() -> None:
    http, backend = _http(httpx.RemoteProtocolError("closed"), httpx.Response(200, json=[]))
    assert (await http.send_retryable(_request())).status_code == 200
    assert len(backend.asked) == 2


async def test_what_may_not_be_asked_twice_is_not() -> None:
    http, backend = _http(httpx.ReadError("closed"), httpx.Response(200))
    with pytest.raises(AnswerInterrupted):
        await http.send(_request())
    assert len(backend.asked) == 1


async def test_a_refusal_is_reported() -> None:
    refused: list[int] = []
    http = HttpClient(Backend({"/v1/models": httpx.ConnectError("no")}), lambda: refused.append(1))
    with pytest.raises(Unavailable, match="BACKEND_URL"):
        await http.send_retryable(_request())
    assert refused == [1]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(httpx.ReadError("reset"), AnswerInterrupted), (httpx.ReadTimeout("slow"), BackendTimeout)],
)
async def test_a_break_while_reading(error: Exception, kind: type[BridgeError]) -> None:
    response = stream(b"a", error)
    http, _ = _http(response)
    pieces = http.stream(await http.send(_request()))
    assert await anext(pieces) == b"a"
    with pytest.raises(kind):
        await anext(pieces)


async def test_a_short_body_is_bounded_and_closed() -> None:
    endless: list[Piece] = [b"x" * 100] * 50
    response = stream(*endless)
    http, _ = _http(response)
    assert await http.read(await http.send(_request()), limit=250) == b"x" * 250
    assert script_of(response).closed


async def test_the_real_transport_reads_a_real_answer_unchanged() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        http = HttpClient(default_transport(f"http://127.0.0.1:{port}", public=False))
        response = await http.send(httpx.Request("GET", f"http://127.0.0.1:{port}/"))
        assert response.headers.get_list("set-cookie") == ["a", "b"]
        assert await http.read(response) == b"ok"
        await http.aclose()


async def test_a_host_in_the_world_may_lie_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(await reader.readline())
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        http = HttpClient(default_transport("http://example.invalid", public=True))
        assert (
            await http.send(httpx.Request("GET", "http://example.invalid/x"))
        ).status_code == 204
        await http.aclose()
    assert met == [b"GET http://example.invalid/x HTTP/1.1\r\n"]


async def test_pieces_are_read_one_by_one() -> None:
    http, _ = _http(stream(b"a", 0.0, b"b"))
    pieces: AsyncIterator[bytes] = http.stream(await http.send(_request()))
    assert [piece async for piece in pieces] == [b"a", b"b"]
