"""Limits behind access control: concurrent requests, uploads, and the size of backend responses."""

import asyncio

import httpx
import pytest

from proxy.completion import pipeline, session
from proxy.completion.request_stats import RequestStats
from proxy.errors import BridgeError, Overloaded
from proxy.web import connection
from proxy.web.connection import Connection, UploadBudget
from tests.asgi import Call, ask
from tests.backend import Backend, chunk, models, stream, text
from tests.bridge import bridge
from tests.patience import HANGS
from tests.web.round_trip import BOTH, CHAT, Road, failed, refused, whole


async def test_as_many_at_once_as_are_allowed() -> None:
    gate = asyncio.Event()
    script = Backend({"/v1/models": models("m"), "/props": lambda _: stream(b"a", gate)})
    app = bridge(script, max_requests="2")
    calls = [Call(app, "/props") for _ in range(2)]
    for call in calls:
        await call.until(lambda call: call.body == b"a")
    third = await ask(app, "/props")
    status, error = refused(third)
    assert (status, error["code"], third.headers["retry-after"]) == (503, "busy", "1")
    assert error["message"] == "too many requests in flight (MAX_REQUESTS=2); retry later"
    assert [(await ask(app, path)).status for path in ("/health", "/")] == [200, 200]
    gate.set()
    for call in calls:
        await call.done()
    assert (await ask(app, "/props")).status == 200


@BOTH
async def test_a_backend_that_sends_endless_json(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.WHOLE_LIMIT == 16 * 1024 * 1024
    monkeypatch.setattr(session, "WHOLE_LIMIT", 10_000)
    answer = stream(b'{"choices": "', *[b"x" * 1_000] * 1_000)
    status, error = refused(await Road(answer).ask(streamed=streamed))
    assert (status, error["code"], error["message"]) == (
        502,
        "bad_answer",
        "the backend's response is larger than 10,000 bytes",
    )


async def test_an_endless_answer_to_an_unstreamed_request_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "WHOLE_LIMIT", 1_000)
    status, error = refused(await Road(stream(*text("x" * 100) * 100)).ask(streamed=False))
    assert (status, error["code"]) == (502, "answer_interrupted")
    assert "the answer is longer than 1,000 characters" in error["message"]
    call = await Road(stream(*text("x" * 100) * 100, httpx.ReadError("x"))).ask()
    # A stream has no limit, because it is not collected in memory.
    assert sum(len(delta.get("content", "")) for delta in failed(call)[0]) == 10_000


async def test_an_endless_line_of_a_backend() -> None:
    deltas, error = failed(
        await Road(stream(chunk({"content": "a"}), b"data: ", *[b"x" * 1_000_000] * 9)).ask()
    )
    assert (deltas[-1], error["code"]) == ({"content": "a"}, "answer_interrupted")
    assert "a line of more than 4,194,304 bytes" in error["message"]


@pytest.mark.parametrize("status", [99, 101, 199, 600, 999])
async def test_a_status_that_means_nothing(status: int) -> None:
    found, error = refused(
        await ask(bridge(Backend({"/props": httpx.Response(status, content=b"x")})), "/props")
    )
    assert (found, error["code"]) == (502, "bad_answer")


async def test_headers_of_a_backend_that_would_break_ours() -> None:
    headers = [
        (b"x-a", b"a\r\nset-cookie: evil"),
        (b"x-b", b"kept"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
    ]
    call = await ask(
        bridge(
            Backend({"/props": httpx.Response(200, headers=headers, stream=stream(b"x").stream)})
        ),
        "/props",
    )
    assert (call.status, call.body) == (200, b"x")
    assert call.headers.keys() == {"x-b", "x-request-id"}


async def test_a_client_that_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece arrives in time, but the upload as a whole is too slow."""
    sent: asyncio.Queue[object] = asyncio.Queue()
    monkeypatch.setattr(connection, "BODY_TIMEOUT", 0.1)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    slow = Connection(
        {"method": "POST", "headers": []}, receive, sent.put, RequestStats("id", "POST", "/")
    )
    with pytest.raises(BridgeError, match="the rest of the request body did not arrive in time"):
        await asyncio.wait_for(slow.body(), HANGS)


async def test_a_name_that_would_write_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "llama-bridge")
    await Road(whole({"content": "a"})).ask(model="m\n06:27:02 req_x POST \x1b[2J\u2028")
    await ask(bridge(), "/a%0ab" + "c" * 9_000)
    for line in caplog.messages:
        assert line.isprintable()
        assert len(line) < 600
    assert r"m\n06:27:02 req_x POST \x1b[2J\u2028" in caplog.text
    assert CHAT in caplog.text


async def test_large_bodies_of_all_together_have_a_limit_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connection.UPLOADS_LIMIT == 72 * 1024 * 1024
    monkeypatch.setattr(connection, "UPLOADS_LIMIT", 3_000)
    uploads = UploadBudget()
    sent: asyncio.Queue[object] = asyncio.Queue()
    more = asyncio.Event()

    def upload(*pieces: bytes) -> Connection:
        coming = list(pieces)

        async def receive() -> dict[str, object]:
            if len(coming) == 1:
                await more.wait()
            return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

        return Connection(
            {"method": "POST", "headers": []},
            receive,
            sent.put,
            RequestStats("id", "POST", "/"),
            uploads,
        )

    large = asyncio.create_task(upload(b"x" * 2_500, b"y").body())
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="too many large requests"):
        await upload(b"x" * 600, b"y").body()
    more.set()
    assert await upload(b"x" * 400, b"y").body() == b"x" * 400 + b"y"
    assert len(await large) == 2_501
    assert uploads.used == 0
