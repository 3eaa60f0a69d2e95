"""Access control: messages of refusals, browser login, and foreign origins."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Call, ask
from tests.backend import END, Backend, models, stream, text
from tests.bridge import bridge

CHAT = "/v1/chat/completions"
BODY = b'{"messages": [{"role": "user", "content": "hi"}]}'
PAGE = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
LOGIN = ("authorization", "Basic " + base64.b64encode(b"me:secret").decode())
HERE, THERE = ("127.0.0.1", 5), ("192.168.1.77", 5)


def backend() -> Backend:
    return Backend({"/v1/models": models("m"), CHAT: stream(*text("hi"), *END)})


async def _from(client: Any, app: Any, *headers: tuple[str, str], path: str = "/v1/models") -> Call:
    call = Call(app, path, headers=headers)
    call.scope["client"] = client
    return await call.done()


@pytest.mark.parametrize(
    ("client", "here"),
    [
        (HERE, True),
        (("::1", 5), True),
        (("::ffff:127.0.0.1", 5), True),
        (THERE, False),
        (("fd00::1", 5), False),
        (("testclient", 5), False),
        (None, False),
    ],
)
async def test_the_path_of_the_key_is_shown_to_local_clients(
    client: Any, here: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    call = await _from(client, bridge(proxy_host="0.0.0.0"))
    assert call.status == 401
    message = call.json["error"]["message"]
    assert ("llama-bridge/key" in message) is here
    assert ("run `llama-bridge key` on the server" in message) is not here
    assert (tmp_path / "llama-bridge/key").read_text().strip() not in call.text


@pytest.mark.parametrize(
    ("hostname", "asked", "status"),
    [
        ("MyPC", "mypc:8081", 200),
        ("mypc", "MYPC.local", 200),
        ("mypc.example.org", "mypc.example.org", 200),
        ("mypc.example.org", "mypc.local", 200),
        ("mypc", "other.local", 403),
        ("", ".local", 403),
    ],
)
async def test_the_machine_is_reached_under_its_own_name(
    hostname: str, asked: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: hostname)
    call = await Call(bridge(backend()), "/v1/models", headers=[("host", asked)]).done()
    assert call.status == status


@pytest.mark.parametrize(
    ("path", "headers", "challenge"),
    [
        ("/", [PAGE], "Basic"),
        ("/", [], "Bearer"),
        ("/", [("accept", "application/json")], "Bearer"),
        ("/v1/models", [PAGE], "Bearer"),
        ("/upstream/", [PAGE], "Bearer"),
    ],
)
async def test_a_browser_is_asked_at_our_page_only(
    path: str, headers: list[tuple[str, str]], challenge: str
) -> None:
    call = await ask(bridge(proxy_api_keys="secret"), path, headers=headers)
    assert call.status == 401
    assert call.headers["www-authenticate"].split()[0] == challenge


async def test_a_login_counts_as_a_key_and_goes_no_further() -> None:
    script = backend()
    app = bridge(script, proxy_api_keys="secret")
    assert (await ask(app, "/props", headers=[LOGIN])).status == 404
    assert (await ask(app, CHAT, BODY, headers=[LOGIN])).status == 200
    assert all("authorization" not in request.headers for request in script.asked)


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "rebind.example.com:8081")],
        [("origin", "http://evil.example.com")],
        [("origin", "null")],
        [("origin", "http://evil.example.com"), ("content-type", "text/plain")],
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
        [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("content-type", "text/plain"),
        ],
    ],
)
@pytest.mark.parametrize(
    "path", [CHAT, "/v1/embeddings", "/upstream/slots/0?action=erase", "/health", "/"]
)
async def test_a_cached_login_opens_nothing_for_the_pages_of_others(
    path: str, headers: list[tuple[str, str]]
) -> None:
    script = backend()
    call = await ask(bridge(script, proxy_api_keys="secret"), path, BODY, headers=[LOGIN, *headers])
    assert (call.status, call.json["error"]["code"]) == (403, "forbidden")
    assert script.asked == []


@pytest.mark.parametrize(
    ("site", "mode", "method", "status"),
    [
        ("cross-site", "navigate", "GET", 200),  # a user followed a link
        ("none", "navigate", "GET", 200),
        ("same-origin", "cors", "GET", 200),
        ("cross-site", "no-cors", "GET", 403),  # an image tag
        ("cross-site", "navigate", "POST", 403),
    ],
)
async def test_without_an_origin_a_browser_still_says_where_it_comes_from(
    site: str, mode: str, method: str, status: int
) -> None:
    headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)]
    assert (await ask(bridge(), "/health", method=method, headers=headers)).status == status


@pytest.mark.parametrize(
    "name", ["host", "origin", "authorization", "x-api-key", "content-type", "content-length"]
)
async def test_what_stands_there_twice_means_nothing(name: str) -> None:
    values = {"host": "127.0.0.1:8081", "origin": "http://127.0.0.1:8081", "content-length": "0"}
    once = (name, values.get(name, "x"))
    app = bridge()
    assert (await ask(app, "/v1/models", headers=[once])).status == 200
    call = await ask(app, "/v1/models", headers=[once, once])
    assert (call.status, call.json["error"]["code"]) == (400, "invalid_request")
    assert f"duplicate header: '{name}'" in call.json["error"]["message"]


FRIEND = ("origin", "https://chat.example.com")
PREFLIGHT = [
    FRIEND,
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type"),
]


def cors(call: Call) -> dict[str, str]:
    return {
        name: value for name, value in call.headers.items() if name.startswith("access-control-")
    }


async def test_cors_is_off() -> None:
    script = backend()
    call = await ask(bridge(script), CHAT, method="OPTIONS", headers=PREFLIGHT)
    assert (call.status, cors(call)) == (403, {})
    own = ("origin", "http://127.0.0.1:8081")
    assert cors(await ask(bridge(backend()), "/v1/models", headers=[own])) == {}
    assert script.asked == []


@pytest.mark.parametrize(
    "allowed",
    ["https://chat.example.com", "https://other.example.com,HTTPS://chat.example.com", "*"],
)
async def test_a_page_that_was_let_in(allowed: str) -> None:
    script = backend()
    app = bridge(script, cors_origins=allowed, proxy_api_keys="secret")
    asked = await ask(app, CHAT, method="OPTIONS", headers=PREFLIGHT)
    assert (asked.status, asked.body, asked.headers["vary"], script.asked) == (
        204,
        b"",
        "origin",
        [],
    )
    assert "content-length" not in asked.headers
    assert cors(asked) == {
        "access-control-allow-origin": "https://chat.example.com",
        "access-control-expose-headers": "x-request-id, retry-after, x-should-retry",
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "authorization,content-type",
        "access-control-allow-private-network": "true",
        "access-control-max-age": "600",
    }
    read = {
        name: value
        for name, value in cors(asked).items()
        if name.endswith(("origin", "expose-headers"))
    }
    answered = await ask(app, CHAT, BODY, headers=[FRIEND, ("authorization", "Bearer secret")])
    assert (answered.status, cors(answered)) == (200, read)
    refused = await ask(app, CHAT, BODY, headers=[FRIEND])
    assert (refused.status, cors(refused)) == (
        401,
        read,
    )  # scripts of the page must be able to read the reason


async def test_a_preflight_without_headers_and_an_options_that_is_none() -> None:
    script = backend()
    app = bridge(script, cors_origins="https://chat.example.com", proxy_api_keys="secret")
    assert (await ask(app, CHAT, method="OPTIONS", headers=PREFLIGHT[:2])).headers[
        "access-control-allow-headers"
    ] == ""
    assert (await ask(app, CHAT, method="OPTIONS", headers=[FRIEND])).status == 401
    assert (await ask(app, CHAT, method="OPTIONS", headers=PREFLIGHT[1:])).status == 401


async def test_a_page_that_was_not_let_in_though_others_were() -> None:
    app = bridge(cors_origins="https://chat.example.com")
    for origin in (
        "https://chat.example.com.evil.com",
        "http://chat.example.com",
        "https://chat.example.com:444",
        "null",
    ):
        call = await ask(app, "/v1/models", headers=[("origin", origin)])
        assert (call.status, cors(call)) == (403, {})


async def test_cors_headers_of_the_backend_are_dropped() -> None:
    answer = models("m", **{"access-control-allow-origin": "*", "vary": "Accept"})
    script = Backend({"/v1/models": answer, "/props": answer})
    call = await ask(bridge(script, cors_origins="*"), "/props", headers=[FRIEND])
    assert [
        value
        for name, value in call.messages[0]["headers"]
        if name == b"access-control-allow-origin"
    ] == [FRIEND[1].encode()]
    assert [value for name, value in call.messages[0]["headers"] if name == b"vary"] == [
        b"Accept",
        b"origin",
    ]


@pytest.mark.parametrize("path", ["/", "/v1/models", "/upstream/props", CHAT])
async def test_trace_does_not_reveal_the_key_of_the_backend(path: str) -> None:
    script = backend()
    call = await Call(bridge(script, backend_api_key="theirs"), path, method="TRACE").done()
    assert (call.status, call.json["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in call.headers["allow"]
    assert script.asked == []
