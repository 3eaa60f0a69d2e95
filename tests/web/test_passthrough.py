"""Passthrough: bytes, headers and paths are forwarded unchanged in both directions."""

import gzip
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.asgi import Application, Call, ask
from tests.backend import Backend, models, script_of, stream
from tests.bridge import bridge

PUBLIC = "https://api.example.com/v1"


def target(app: Application, path: str, **more: Any) -> Call:
    """Send a request to `path` as servers pass it on: decoded in `path`, as sent in `raw_path`."""
    call = Call(app, path, **more)
    call.scope["path"] = unquote(call.scope["path"])
    return call


def raw(call: Call) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in call.messages[0]["headers"] if name != b"x-request-id"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/completions", "/v1/completions"),
        ("/v1/embeddings", "/v1/embeddings"),
        ("/v1", "/v1"),
        ("/props", "/props"),
        ("/slots?fail_on_no_slot=1", "/slots?fail_on_no_slot=1"),
        ("/tokenize", "/tokenize"),
        ("/upstream/health", "/health"),
        ("/upstream/", "/"),
        ("/upstream", "/"),
        ("/upstream/v1/models?after=x", "/v1/models?after=x"),
        ("/upstream/v1/chat/completions", "/v1/chat/completions"),
        ("/upstream/upstream/x", "/upstream/x"),
        ("/upstreams", "/upstreams"),
        ("/v1/models.json", "/v1/models.json"),
        ("/healthy", "/healthy"),
        ("/v1/chat/completions/", "/v1/chat/completions/"),
        ("//twice//", "//twice//"),
    ],
)
async def test_where_a_path_leads(path: str, asked: str) -> None:
    backend = Backend({asked.partition("?")[0]: httpx.Response(200, content=b"theirs")})
    call = await ask(bridge(backend), path)
    assert (call.status, call.body, call.complete) == (200, b"theirs", True)
    assert [request.url.raw_path.decode() for request in backend.asked] == [asked]
    assert backend.asked[0].headers["host"] == "10.0.0.5:1"


@pytest.mark.parametrize("path", ["/health", "/", "/v1/models", "/models"])
async def test_what_is_ours_does_not_go_through(path: str) -> None:
    backend = Backend(
        {"/v1/models": httpx.Response(200, json=["m"]), path: httpx.Response(200, json=["m"])}
    )
    assert (await ask(bridge(backend), path)).json != ["m"]


@pytest.mark.parametrize(
    "path",
    [
        "/files/a%2Fb%20c%3Fd",
        "/files/a%2fb",
        "/files/%E4%BD%A0%C3%BC",
        "/files/a;b=c:d@e,f",
        "/files/(x)'!*~$&",
        "/files/100%",
        "/q?a=b+c&a=d%20e&a=%2B",
        "/q?a=[1]&b={2}&c=d|e^f`",
        "/q?a?b=/c:d@e",
        "/q?a=%zz&&=",
        "/upstream/files/a%2Fb?x=%41",
    ],
)
async def test_a_path_and_its_query_stay_as_they_are(path: str) -> None:
    backend = Backend()
    await target(bridge(backend), path).done()
    assert backend.asked[0].url.raw_path.decode() == path.removeprefix("/upstream")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/slots/0", "/upstream/health"])
async def test_every_method(method: str, path: str) -> None:
    backend = Backend({path.removeprefix("/upstream"): httpx.Response(200, content=b"yes")})
    call = await ask(bridge(backend), path, b"what" if method[0] == "P" else None, method=method)
    assert (call.status, call.body, backend.asked[0].method) == (200, b"yes", method)
    assert backend.bodies == [b"what" if method[0] == "P" else b""]


async def test_a_head_keeps_the_length_that_it_speaks_of() -> None:
    backend = Backend(
        {"/file": httpx.Response(200, headers={"content-length": "1000", "etag": "x"})}
    )
    call = await ask(bridge(backend), "/file", method="HEAD")
    assert (call.status, call.headers["content-length"], call.headers["etag"]) == (200, "1000", "x")
    assert (call.body, call.complete, backend.asked[0].method) == (b"", True, "HEAD")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b"made"),
        (204, b""),
        (302, b""),
        (304, b""),
        (400, b'{"e":1}'),
        (401, b"no"),
        (404, b"{"),
        (429, b"slow"),
        (500, b"\xff\x00"),
    ],
)
async def test_a_status_and_its_body_are_not_touched(status: int, body: bytes) -> None:
    headers = {
        "retry-after": "7",
        "www-authenticate": "Basic",
        "location": "/elsewhere",
        "content-type": "text/odd",
    }
    call = await ask(
        bridge(Backend({"/x": httpx.Response(status, headers=headers, content=body)})), "/x"
    )
    assert (call.status, call.body, call.complete) == (status, body, True)
    assert headers.items() <= call.headers.items()


async def test_packed_bytes_stay_packed() -> None:
    packed = gzip.compress(b"a" * 1000)
    backend = Backend(
        {
            "/x": httpx.Response(
                200,
                headers={"content-encoding": "gzip"},
                stream=stream(packed[:9], packed[9:]).stream,
            )
        }
    )
    headers = [
        ("content-encoding", "gzip"),
        ("accept-encoding", "gzip, br;q=0.5"),
        ("content-type", "application/odd"),
    ]
    call = await ask(bridge(backend), "/x", packed, headers=headers)
    assert (call.headers["content-encoding"], call.body) == ("gzip", packed)
    assert backend.bodies == [packed]
    sent = backend.asked[0].headers
    assert all(sent[name] == value for name, value in headers)
    assert (sent["content-length"], "transfer-encoding" in sent) == (str(len(packed)), False)


async def test_headers_from_the_backend() -> None:
    theirs = [
        ("Set-Cookie", "a=1; Path=/"),
        ("X-Odd", "1"),
        ("Set-Cookie", "b=2"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "x"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "x"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Odd", "2"),
    ]
    call = await ask(
        bridge(Backend({"/x": httpx.Response(200, headers=theirs, stream=stream(b"x").stream)})),
        "/x",
    )
    assert raw(call) == [
        (b"set-cookie", b"a=1; Path=/"),
        (b"x-odd", b"1"),
        (b"set-cookie", b"b=2"),
        (b"x-odd", b"2"),
    ]


async def test_headers_from_the_client() -> None:
    ours = [
        ("x-odd", "1"),
        ("connection", "close, X-Hop"),
        ("connection", "x-hop2"),
        ("x-hop", "x"),
        ("x-hop2", "x"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "x"),
        ("expect", "100-continue"),
        ("cookie", "session=1"),
        ("referer", "http://127.0.0.1:8081/x"),
        ("user-agent", "me"),
        ("x-odd", "2"),
    ]
    backend = Backend()
    await ask(bridge(backend), "/x", headers=ours)
    sent = [(name.lower(), value) for name, value in backend.asked[0].headers.raw]
    assert sent[:-1] == [
        (b"host", b"10.0.0.5:1"),
        (b"x-odd", b"1"),
        (b"user-agent", b"me"),
        (b"x-odd", b"2"),
    ]
    assert sent[-1][0] == b"x-llama-bridge"


async def test_what_would_keep_llama_cpp_busy_does_not_reach_it() -> None:
    backend = Backend()
    await ask(
        bridge(backend, backend_kind="llamacpp"),
        "/completion",
        b"{}",
        headers=[("x-conversation-id", "1")],
    )
    assert "x-conversation-id" not in backend.asked[0].headers


async def test_the_key_of_the_backend_is_sent_along() -> None:
    backend = Backend()
    await ask(
        bridge(backend, backend_api_key="theirs"),
        "/props",
        headers=[("authorization", "Bearer mine")],
    )
    assert backend.asked[0].headers.get_list("authorization") == ["Bearer theirs"]


@pytest.mark.parametrize(
    "path",
    [
        "/props",
        "/upstream/health",
        "/upstream",
        "/v1x",
        "/v1/../admin",
        "/v1/..",
        "/v1/x/../../admin",
        "/v1/%2e%2e/admin",
        "/v1/.%2E%2fadmin",
        "/v1/..\\admin",
        "/v1/..;/admin",
        "/upstream/v1/../admin",
    ],
)
async def test_a_public_host_gets_no_requests_outside_its_api(path: str) -> None:
    backend = Backend({"/v1/models": models("m")})
    call = await target(bridge(backend, backend_url=PUBLIC), path).done()
    assert (call.status, call.json["error"]["code"]) == (404, "not_found")
    assert "is outside the API of api.example.com" in call.json["error"]["message"]
    assert backend.asked == []


@pytest.mark.parametrize("path", ["/v1/files", "/v1/a..b", "/v1/...", "/upstream/v1/models", "/v1"])
async def test_a_public_host_gets_requests_inside_its_api(path: str) -> None:
    backend = Backend()
    await ask(bridge(backend, backend_url="https://api.example.com/paas/v4"), path)
    assert str(backend.asked[0].url) == "https://api.example.com/paas/v4" + path.removeprefix(
        "/upstream"
    ).removeprefix("/v1")


@pytest.mark.parametrize(("path", "status"), [("*", 404), ("/x?" + 70_000 * "y", 400)])
async def test_what_cannot_be_asked_for_is_a_refusal(path: str, status: int) -> None:
    call = await ask(bridge(), path, method="OPTIONS")
    assert (call.status, call.json["error"]["type"]) == (
        status,
        "not_found_error" if status == 404 else "invalid_request_error",
    )


async def test_a_backend_that_is_down() -> None:
    call = await ask(
        bridge(Backend({"/v1/completions": httpx.ConnectError("refused")})),
        "/v1/completions",
        b"{}",
    )
    assert (call.status, call.json["error"]["code"]) == (503, "backend_unavailable")
    assert "cannot connect to http://10.0.0.5:1" in call.json["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_what_has_no_body_is_asked_twice_where_no_answer_comes(body: bytes) -> None:
    """A pooled connection may have just been closed by the backend.

    A request with a body is not repeated, because it may have taken effect.
    """
    backend = Backend(
        {"/x": [httpx.RemoteProtocolError("closed"), httpx.Response(200, content=b"theirs")]}
    )
    call = await ask(bridge(backend), "/x", body) if body else await ask(bridge(backend), "/x")
    assert (call.status, len(backend.asked)) == ((502, 1) if body else (200, 2))


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("reset"), httpx.ReadTimeout("silent"), httpx.RemoteProtocolError("cut")],
)
async def test_a_break_in_the_middle_leaves_the_answer_without_an_end(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    response = stream(b"half", error)
    with caplog.at_level("INFO", "llama-bridge"):
        call = await ask(bridge(Backend({"/x": response})), "/x")
    assert (call.status, call.body, call.complete) == (200, b"half", False)
    assert script_of(response).closed
    assert [(record.levelname, "the backend" in record.message) for record in caplog.records] == [
        ("WARNING", True)
    ]
