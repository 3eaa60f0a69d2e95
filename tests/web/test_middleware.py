"""The middleware: access control, forwarded headers, and one JSON shape for all errors."""

import asyncio
import gc
import logging
import re
import weakref
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.app import Bridge
from tests.asgi import Call, ask
from tests.backend import END, Backend, models, stream, text
from tests.bridge import bridge

PATHS = [
    "/",
    "/v1/models",
    "/models/m",
    "/v1/chat/completions",
    "/chat/completions",
    "/v1/embeddings",
    "/props",
    "/upstream/health",
    "/healthy",
]
QUESTION = {"messages": [{"role": "user", "content": "hi"}], "stream": True}


def is_error(call: Call, status: int, code: str) -> bool:
    """Check the shape of an error response, and return whether status and code are as expected."""
    error = call.json["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert call.headers["x-request-id"] == error["request_id"]
    assert call.headers["content-type"] == "application/json"
    assert re.fullmatch("req_[a-z]{12}", call.headers["x-request-id"])
    return (call.status, error["code"]) == (status, code)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer wrong")],
        [("authorization", "Bearer secre")],
        [("authorization", "Bearer")],
        [("authorization", "Basic secret")],
        [("x-api-key", "secret2")],
        [("authorization", "Bearer wrong"), ("x-api-key", "secret")],
    ],
)
async def test_without_the_key_there_is_nothing(path: str, headers: list[tuple[str, str]]) -> None:
    backend = Backend()
    call = await ask(bridge(backend, proxy_api_keys="secret"), path, headers=headers)
    assert is_error(call, 401, "invalid_api_key")
    assert call.headers["www-authenticate"] == "Bearer"
    assert backend.asked == []


async def test_only_the_health_needs_no_key() -> None:
    assert (await ask(bridge(proxy_api_keys="secret"), "/health")).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Bearer first"),
        ("authorization", "bearer  first"),
        ("authorization", "Bearer second"),
        ("x-api-key", "first"),
        ("x-api-key", "schlüssel"),
    ],
)
async def test_a_right_key_opens_and_goes_no_further(name: str, value: str) -> None:
    backend = Backend(
        {"/v1/models": models("m"), "/v1/chat/completions": stream(*text("hi"), *END)}
    )
    app = bridge(backend, proxy_api_keys="first, second,schlüssel", backend_api_key="theirs")
    for path, body in (("/props", None), ("/v1/chat/completions", QUESTION), ("/v1/models", None)):
        assert (await ask(app, path, body, headers=[(name, value)])).status != 401
    assert len(backend.asked) >= 3
    for request in backend.asked:
        assert request.headers.get_list("authorization") == ["Bearer theirs"]
        assert not any(value.split()[-1].encode() in sent for _, sent in request.headers.raw)


async def test_on_loopback_no_key_is_needed_unless_one_is_set() -> None:
    assert (await ask(bridge(), "/v1/models")).status == 200


async def test_beyond_loopback_a_key_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    app = bridge(proxy_host="192.168.1.5")
    host = ("host", "192.168.1.5:8081")
    kept = tmp_path / "llama-bridge" / "key"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert is_error(await ask(app, "/v1/models", headers=[host]), 401, "invalid_api_key")
    key = ("authorization", f"Bearer {kept.read_text().strip()}")
    assert (await ask(app, "/v1/models", headers=[host, key])).status == 200
    # The key is still valid after a restart.
    assert (
        await ask(bridge(proxy_host="192.168.1.5"), "/v1/models", headers=[host, key])
    ).status == 200


async def test_none_disables_authentication(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    app = bridge(proxy_host="0.0.0.0", proxy_api_keys="none")
    assert (await ask(app, "/v1/models")).status == 200
    assert not (tmp_path / "llama-bridge").exists()


@pytest.mark.parametrize("path", ["/health", *PATHS])
async def test_a_foreign_host_name_is_refused(path: str) -> None:
    backend = Backend()
    call = await ask(bridge(backend), path, headers=[("host", "rebind.example.com:8081")])
    assert is_error(call, 403, "forbidden")
    assert "unknown host 'rebind.example.com'" in call.json["error"]["message"]
    assert backend.asked == []


@pytest.mark.parametrize(
    ("host", "options", "server"),
    [
        ("127.0.0.1:8081", {}, "127.0.0.1"),
        ("localhost:8081", {}, "127.0.0.1"),
        ("LocalHost", {}, "127.0.0.1"),
        ("localhost.:8081", {}, "127.0.0.1"),
        ("127.1.2.3", {}, "127.0.0.1"),
        # In a container, the socket has another address than the Host header.
        ("127.0.0.1:8081", {"proxy_host": "0.0.0.0"}, "172.17.0.2"),
        ("[::1]:8081", {"proxy_host": "::1"}, "::1"),
        ("[::1]", {"proxy_host": "::"}, "fd00::5"),
        ("192.168.1.5:8081", {"proxy_host": "192.168.1.5"}, "192.168.1.5"),
        ("192.168.1.5:8081", {"proxy_host": "0.0.0.0"}, "192.168.1.5"),
        ("[FD00:0::5]:8081", {"proxy_host": "::"}, "fd00::5"),
        ("mypc:8081", {"proxy_host": "MyPC"}, "192.168.1.5"),
        ("mypc.lan:8081", {"allowed_hosts": "other, MyPC.lan"}, "127.0.0.1"),
    ],
)
async def test_our_own_names(host: str, options: dict[str, str], server: str) -> None:
    app = bridge(**{"proxy_api_keys": "none"} | options)
    assert (
        await ask(app, "/v1/models", headers=[("host", host)], server=(server, 8081))
    ).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "192.168.1.6:8081",
        "example.com",
        "",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "[::1",
        "::2",
    ],
)
async def test_names_that_are_not_ours(host: str) -> None:
    app = bridge(proxy_api_keys="none", proxy_host="0.0.0.0", allowed_hosts="mypc.lan")
    assert is_error(
        await ask(app, "/v1/models", headers=[("host", host)], server=("192.168.1.5", 8081)),
        403,
        "forbidden",
    )


async def test_a_server_that_does_not_say_where_it_listens() -> None:
    call = Call(bridge(), "/v1/models", headers=[("host", "192.168.1.5")])
    call.scope["server"] = None
    assert (await call.done()).status == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8081", 200),
        ("https://mypc.lan", 200),
        ("http://MYPC.lan:3000", 200),
        ("http://127.0.0.1:3000", 403),
        ("http://evil.example.com", 403),
        ("http://evil.example.com:8081", 403),
        ("null", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/upstream/health"])
async def test_web_pages_of_others(origin: str, status: int, path: str) -> None:
    backend = Backend({"/v1/models": models("m"), "/health": httpx.Response(200)})
    call = await ask(bridge(backend, allowed_hosts="mypc.lan"), path, headers=[("origin", origin)])
    assert call.status == status
    if status == 403:
        assert is_error(call, 403, "forbidden")
        assert re.match("web pages of '.*' may not use this server", call.json["error"]["message"])
        assert backend.asked == []


class Mirror(httpx.AsyncBaseTransport):
    """Transport for a BACKEND_URL that leads back to the proxy itself."""

    app: Bridge

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in request.stream])
        headers = [
            (name.decode(), value.decode())
            for name, value in request.headers.raw
            if name not in (b"Host", b"content-length")
        ]
        call = await ask(
            self.app, request.url.path, body or None, method=request.method, headers=headers
        )
        return httpx.Response(call.status, headers=call.headers, content=call.body)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/models", "/v1/embeddings", "/health"]
)
@pytest.mark.parametrize("kind", ["auto", "llama_cpp", "generic"])
async def test_a_proxy_loop_is_reported(path: str, kind: str) -> None:
    mirror = Mirror()
    mirror.app = bridge(mirror, backend_kind=kind)
    call = await ask(mirror.app, path, QUESTION, method="GET" if path == "/v1/models" else "POST")
    assert call.status == (503 if path == "/health" else 508)
    assert (
        "proxy loop: BACKEND_URL leads back to this proxy; set it to the model server's URL"
        in call.text
    )


class Before(httpx.AsyncBaseTransport):
    """Transport for a BACKEND_URL that is another llama-bridge."""

    def __init__(self, other: Bridge) -> None:
        self._other = other

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        mirror = Mirror()
        mirror.app = self._other
        return await mirror.handle_async_request(request)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/models", "/v1/embeddings", "/health"]
)
async def test_one_proxy_before_another_is_named_too(path: str) -> None:
    behind = Backend({"/v1/models": models("m")})
    app = bridge(Before(bridge(behind)))
    call = await ask(app, path, QUESTION, method="GET" if path == "/v1/models" else "POST")
    assert call.status == (503 if path == "/health" else 508)
    assert "the BACKEND_URL of one llama-bridge is another llama-bridge" in call.text
    assert behind.asked == []


async def test_a_websocket_is_closed() -> None:
    received: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    sent: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    await bridge()(
        {"type": "websocket", "path": "/v1/realtime", "headers": []}, received.get, sent.put
    )
    assert sent.get_nowait() == {"type": "websocket.close", "code": 1003}
    assert sent.empty()


async def test_every_answer_has_one_id_and_no_two_the_same() -> None:
    backend = Backend(
        {
            "/v1/models": models("m"),
            "/props": httpx.Response(200, headers={"x-request-id": "theirs"}),
        }
    )
    app = bridge(backend)
    calls = [
        await ask(app, path)
        for path in ("/health", "/v1/models", "/v1/models/none", "/props", "/v1/chat/completions")
    ]
    ids = [
        [value for name, value in call.messages[0]["headers"] if name == b"x-request-id"]
        for call in calls
    ]
    assert all(len(found) == 1 and found[0].startswith(b"req_") for found in ids)
    assert len({found[0] for found in ids}) == len(calls)


async def test_an_internal_error_is_reported_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = await ask(bridge(Backend({"/props": RuntimeError("the inside")})), "/props")
    assert is_error(call, 500, "internal_error")
    id = call.headers["x-request-id"]
    assert (
        call.json["error"]["message"]
        == f"internal error in llama-bridge; see its log for request {id}"
    )
    told = next(record for record in caplog.records if record.exc_info)
    assert (told.levelno, told.getMessage()) == (
        logging.ERROR,
        f"{id} failed with an internal error; please report it",
    )
    assert "RuntimeError: the inside" in caplog.text


async def test_a_defect_in_the_middle_of_an_answer_leaves_it_without_an_end() -> None:
    call = await ask(
        bridge(Backend({"/props": stream(b"half", RuntimeError("the inside"))})), "/props"
    )
    assert (call.status, call.body, call.complete) == (200, b"half", False)


async def test_closing_ends_what_has_not_been_answered_with_a_reason() -> None:
    asked = asyncio.Event()

    async def silent() -> None:
        asked.set()
        await asyncio.sleep(600)

    app = bridge(Backend({"/props": lambda _: silent()}))
    call = Call(app, "/props")
    await asked.wait()
    app.close()
    assert is_error(await call.done(), 503, "stopping")
    assert call.json["error"]["message"] == "this proxy is shutting down"


async def test_closing_cuts_what_has_begun() -> None:
    backend = Backend(
        {
            "/v1/models": models("m"),
            "/props": stream(b"half", 600.0),
            "/v1/chat/completions": stream(*text("half"), 600.0),
        }
    )
    app = bridge(backend)
    calls = [Call(app, "/props"), Call(app, "/v1/chat/completions", QUESTION)]
    for call in calls:
        await call.until(lambda call: len(call.messages) > 1)
    app.close()
    for call in calls:
        await call.done()
        assert (call.status, call.complete) == (200, False)
        assert "[DONE]" not in call.text


async def test_an_answer_that_is_over_is_forgotten() -> None:
    app = bridge()
    call = await ask(app, "/health")
    over = weakref.ref(call.task)
    del call
    await asyncio.sleep(0)  # lets the event loop release the task
    gc.collect()
    assert over() is None


async def test_a_cancellation_from_outside_is_none_of_ours() -> None:
    call = Call(bridge(Backend({"/props": stream(b"half", 600.0)})), "/props")
    await call.until(lambda call: len(call.messages) > 1)
    call.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.done()
    assert not call.complete
