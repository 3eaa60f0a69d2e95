"""What a backend means by a status and a body, in every shape that was seen."""

import json
from typing import Any

import httpx
import pytest

from proxy.app import create_app
from proxy.backends.error_mapping import map_error, parse_error_body
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.errors import (
    BackendFailed,
    BackendRefused,
    BackendStatusError,
    BridgeError,
    ContextOverflow,
    InvalidBackendResponse,
    ModelLoading,
    ModelNotFound,
)
from proxy.settings import load
from tests.asgi import ask
from tests.backend import Backend, models
from tests.backends.llama_cpp.test_backend import llama_cpp

CHAT = "/v1/chat/completions"


def _error(message: str, **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_error("m", code=400), "m"),
        (b'{"error": "text"}', "text"),
        (b'{"message": "m"}', "m"),
        (b'{"detail": "d"}', "d"),
        (
            b'{"detail": [{"loc": 1}, {"loc": ["body"], "msg": 5}, "x"]}',
            '{"loc":1}; {"loc":["body"],"msg":5}; "x"',
        ),
        (
            b'{"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Field required"}]}',
            "body.messages.0.role: Field required",
        ),
        (b'[{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}]', "m"),
        (b'{"type":"error","error":{"type":"AuthError","message":"m"}}', "m"),
        (b'event: error\ndata: {"error":{"message":"in a stream"}}\n\n', "in a stream"),
        (b'error: {"message":"m"}', "m"),
        (
            b"<html><body>502",
            "the backend responded with a web page instead of an error message",
        ),
        (b" plain text ", "plain text"),
        (b"[1]", "[1]"),
        (b"[]", "[]"),
        (b"data: x\n", "data: x"),
        (b"", "the backend gave no reason"),
    ],
)
def test_the_message_in_every_shape(body: bytes, message: str) -> None:
    assert parse_error_body(body)[0] == message


SENTENCE = (
    "request (15013 tokens) exceeds the available context size (2048 tokens), try increasing it"
)


@pytest.mark.parametrize(
    ("status", "body", "kind", "ours"),
    [
        (
            400,
            _error(SENTENCE, type="exceed_context_size_error", n_prompt_tokens=15013, n_ctx=2048),
            ContextOverflow,
            400,
        ),
        (400, _error("This model's maximum context length is 10 tokens."), ContextOverflow, 400),
        (
            400,
            _error("Your input is too long.", code="context_length_exceeded"),
            ContextOverflow,
            400,
        ),
        (500, _error("the prompt is greater than the context length"), ContextOverflow, 400),
        (413, b"", ContextOverflow, 400),
        (400, _error("bad"), BackendRefused, 400),
        (401, _error("Invalid API Key", type="authentication_error"), BackendStatusError, 401),
        (404, _error("model 'x' not found"), ModelNotFound, 404),
        (404, _error("File Not Found"), BackendStatusError, 404),
        (422, b'{"detail": "x"}', BackendStatusError, 422),
        (429, _error("slow down"), BackendStatusError, 429),
        (503, _error("Loading model"), ModelLoading, 503),
        (503, _error("busy"), BackendFailed, 503),
        (500, _error("oops"), BackendFailed, 500),
        (302, b"", InvalidBackendResponse, 502),
        (600, _error("odd"), InvalidBackendResponse, 502),
        (999, b"", InvalidBackendResponse, 502),
    ],
)
def test_every_status(status: int, body: bytes, kind: type[BridgeError], ours: int) -> None:
    error = map_error(status, body, {"retry-after": "7", "x": "y"})
    assert (type(error), error.status) == (kind, ours)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (_error("m", param="max_tokens"), "max_tokens"),
        (_error("m", param=""), None),
        (_error("m", param=5), None),
        (b"m", None),
    ],
)
def test_the_field_that_is_wrong(body: bytes, param: str | None) -> None:
    assert (
        map_error(400, body, {}).body()["error"]["param"] == map_error(422, body, {}).param == param
    )


def test_whose_key_is_wrong() -> None:
    assert (
        map_error(401, b'{"error":"Unauthorized"}', {}).message
        == "Unauthorized (set BACKEND_API_KEY to a key that the backend accepts)"
    )


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (404, b"", True),
        (404, b"<html>Not Found", True),
        (404, _error("File Not Found"), False),
        (403, b"", False),
    ],
)
def test_an_address_that_leads_nowhere_is_doubted(status: int, body: bytes, hint: bool) -> None:
    assert (
        "check that BACKEND_URL is the base of its API" in map_error(status, body, {}).message
    ) is hint


async def test_nothing_follows_a_redirect() -> None:
    """With the question the key would go to whoever the other host is."""
    behind = Backend(
        {
            "/v1/models": models("m"),
            CHAT: httpx.Response(307, headers={"location": "https://elsewhere.example/steal"}),
        }
    )
    app = create_app(
        load({"BACKEND_URL": "http://10.0.0.5", "BACKEND_KIND": "generic", "BACKEND_API_KEY": "k"}),
        transport=behind,
    )
    answer = await ask(app, CHAT, {"messages": []})
    assert (
        answer.status,
        "https://elsewhere.example/steal" in answer.json["error"]["message"],
    ) == (502, True)
    assert {request.url.host for request in behind.asked} == {"10.0.0.5"}
    assert behind.asked[-1].headers["authorization"] == "Bearer k"


def test_where_it_has_moved_to() -> None:
    error = map_error(
        308, b"", {"location": "https://elsewhere.example/v1/chat/completions?token=x"}
    )
    words = (
        "the backend redirects to https://elsewhere.example/v1/chat/completions; "
        "redirects are not followed, so set BACKEND_URL to it if you trust it"
    )
    assert (error.status, error.message) == (502, words)


def test_when_to_come_again_is_passed_on() -> None:
    for status, body in ((429, b""), (500, b""), (503, b"<html>")):
        error = map_error(status, body, {"retry-after": "7", "retry-after-ms": "1", "x": "y"})
        assert error.headers == {"retry-after": "7", "retry-after-ms": "1"}


@pytest.mark.parametrize(
    "message",
    [
        "Failed to parse tools: [json.exception.out_of_range.403] key 'name' not found",
        "Failed to parse messages: Missing 'role' in message",
        "image input is not supported - hint: you may need to provide the mmproj",
        "Unknown reasoning format: bogus",
        "Jinja Exception: roles must alternate",
        "JSON schema error at #: cannot resolve $ref",
        "Failed to initialize samplers: failed to parse grammar",
    ],
)
def test_llama_cpp_says_500_to_what_can_never_be_answered(message: str) -> None:
    backend: LlamaCpp = llama_cpp()[0]
    error = backend.map_error(500, _error(message, type="server_error"), {})
    assert (type(error), error.status) == (BackendRefused, 400)
    assert "server_error" not in str(error.body())


def test_what_llama_cpp_fails_at_by_chance_stays_a_failure() -> None:
    backend = llama_cpp()[0]
    error = backend.map_error(
        500,
        _error("The model produced output that does not match the expected peg-native format"),
        {},
    )
    assert isinstance(error, BackendFailed)
