"""Chat requests that fail: error status, JSON shape, and messages that clients act on."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from proxy.backends.detection import ERROR_TTL
from tests.asgi import Call, ask
from tests.backend import END, models, stream, text
from tests.bridge import bridge
from tests.clock import Clock
from tests.web.round_trip import BOTH, CHAT, MODELS, Heard, Road, heard, refused

# OpenCode retries for a minute if an error body contains one of these.
ASKED_AGAIN = re.compile(
    r"429|500|502|503|504|524|server_error|overloaded|rate limit|internal error|"
    r"connection (lost|reset)"
)
SENTENCE = (
    "request (15003 tokens) exceeds the available context size (2048 tokens), try increasing it"
)


def _says(status: int, message: str, **fields: Any) -> Callable[[httpx.Request], httpx.Response]:
    error = {"code": status, "message": message, "type": "invalid_request_error", **fields}
    return lambda _: httpx.Response(status, json={"error": error})


@BOTH
async def test_a_refusal_is_a_real_status_in_one_shape(streamed: bool) -> None:
    answer = await Road(_says(400, "no such sampler")).ask(streamed=streamed)
    assert refused(answer) == (
        400,
        {
            "message": "no such sampler",
            "type": "invalid_request_error",
            "param": None,
            "code": "backend_refused",
        },
    )
    assert re.fullmatch(r"req_[a-z]{12}", answer.headers["x-request-id"])


@BOTH
async def test_an_overflow_in_the_backend_s_own_words_and_numbers(streamed: bool) -> None:
    """Clients recognize this message, and shorten the conversation."""
    said = _says(400, SENTENCE, type="exceed_context_size_error", n_prompt_tokens=15003, n_ctx=2048)
    status, error = refused(await Road(said, backend_kind="llama_cpp").ask(streamed=streamed))
    assert (status, error) == (
        400,
        {
            "message": SENTENCE,
            "type": "invalid_request_error",
            "param": None,
            "code": "context_length_exceeded",
            "n_ctx": 2048,
            "n_prompt_tokens": 15003,
        },
    )


@BOTH
async def test_what_llama_cpp_can_never_answer_is_refused_for_good(streamed: bool) -> None:
    said = _says(
        500,
        "Jinja Exception: roles must alternate (server_error 500, at 15003)",
        type="server_error",
    )
    answer = await Road(said, backend_kind="llama_cpp").ask(streamed=streamed)
    status, error = refused(answer)
    assert (status, error["code"]) == (400, "backend_refused")
    assert not ASKED_AGAIN.search(answer.text)
    assert "15,003" in error["message"]


@BOTH
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_no_refusal_looks_like_a_passing_trouble(streamed: bool, status: int) -> None:
    said = _says(
        status, "server_error near 15003, 1429 and 502 of 500500: Server_Error", type="server_error"
    )
    answer = await Road(said).ask(streamed=streamed)
    got, error = refused(answer)
    assert got == status
    assert not ASKED_AGAIN.search(answer.text)
    assert error["message"].startswith("s\u2060erver_error near 15,003, 1,4")


@BOTH
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_passing_trouble_stays_one(streamed: bool, status: int) -> None:
    answer = await Road(
        lambda _: httpx.Response(status, json={"error": "oops"}, headers={"retry-after": "3"})
    ).ask(streamed=streamed)
    assert refused(answer)[0] == status
    assert refused(answer)[1]["code"] == "backend_failed"
    assert answer.headers["retry-after"] == "3"


@BOTH
async def test_too_many_questions(streamed: bool) -> None:
    limit = httpx.Response(
        429,
        json={"error": {"message": "x", "type": "FreeUsageLimitError"}},
        headers={"retry-after-ms": "1500"},
    )
    answer = await Road(lambda _: limit).ask(streamed=streamed)
    status, error = refused(answer)
    assert (status, error["type"]) == (429, "FreeUsageLimitError")
    assert answer.headers["retry-after-ms"] == "1500"


@BOTH
async def test_a_loading_model_sends_retry_after(streamed: bool) -> None:
    answer = await Road(
        _says(503, "Loading model", type="unavailable_error"), backend_kind="llama_cpp"
    ).ask(streamed=streamed)
    status, error = refused(answer)
    assert (status, error["code"], error["message"]) == (503, "model_loading", "Loading model")
    assert int(answer.headers["retry-after"]) > 0


@BOTH
@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (httpx.ConnectError("refused"), 503, "backend_unavailable"),
        (httpx.ConnectTimeout("10 s"), 503, "backend_unavailable"),
        (httpx.ReadTimeout("10 min"), 504, "backend_timeout"),
        (httpx.ReadError("reset"), 502, "answer_interrupted"),
        (httpx.RemoteProtocolError("closed"), 502, "answer_interrupted"),
        (lambda _: stream(httpx.ReadTimeout("10 min")), 504, "backend_timeout"),
        (lambda _: stream(b": ping\n\n", httpx.ReadError("reset")), 502, "answer_interrupted"),
        (lambda _: stream(b'{"choices": ', httpx.ReadError("reset")), 502, "answer_interrupted"),
        (lambda _: httpx.Response(302, headers={"location": "/login"}), 502, "bad_answer"),
    ],
)
async def test_a_backend_that_does_not_answer(
    streamed: bool, trouble: Any, status: int, code: str
) -> None:
    got, error = refused(await Road(trouble).ask(streamed=streamed))
    assert (got, error["code"]) == (status, code)


async def test_how_long_a_backend_is_waited_for() -> None:
    road = Road(stream(*text("a"), *END))
    await road.ask()
    listed, asked = (request.extensions["timeout"] for request in road.script.asked)
    assert (asked["connect"], asked["read"]) == (10.0, 600.0)
    assert max(listed["connect"], listed["read"]) <= 2.0


@BOTH
@pytest.mark.parametrize("kind", ["auto", "generic"])
async def test_a_backend_that_is_down_is_found_when_it_comes(
    streamed: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    road = Road(
        stream(*text("a"), *END), others={MODELS: httpx.ConnectError("refused")}, backend_kind=kind
    )
    answer = await road.ask(streamed=streamed)
    assert refused(answer)[0] == 503
    assert "10.0.0.5:1" in answer.text
    road.script.on({MODELS: models("m", owner="llamacpp")})
    clock.now += ERROR_TTL
    assert heard(await road.ask(streamed=streamed)) == Heard("a", finish="stop")
    assert ("return_progress" in road.script.questions()[0]) == (kind == "auto")


@pytest.mark.parametrize("path", [CHAT, "/chat/completions"])
async def test_a_question_that_is_none(path: str) -> None:
    call = await ask(bridge(), path, b'{"messages": [')
    assert refused(call)[0] == 400
    assert "line 1" in call.text
    assert refused(await ask(bridge(), path, {"messages": "hi"}))[1]["param"] == "messages"
    call = await ask(bridge(), path, method="GET")
    assert (refused(call)[0], call.headers["allow"]) == (405, "POST")


async def test_an_internal_error_is_reported_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("proxy.web.chat.Chat._pipeline", broken)
    call: Call = await Road().ask()
    assert refused(call)[0] == 500
    assert "secret" not in call.text
    assert call.headers["x-request-id"] in call.text
