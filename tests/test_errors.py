"""Error messages: their words decide whether a client retries."""

import re

import orjson
import pytest

from proxy import errors
from proxy.errors import (
    AnswerInterrupted,
    BackendFailed,
    BackendStatusError,
    BridgeError,
    ContextOverflow,
    ModelLoading,
    ModelNotFound,
    neutralize,
)

# OpenCode retries a request if the body of the response matches this.
RETRIED = re.compile(
    r"429|500|502|503|504|524|rate limit|rate_limit|too many requests|overloaded|"
    r"service unavailable|internal error|server error|"
    r"server_error|provider returned error|terminated|fetch failed|network[-_\s]error|"
    r"connection error|connection refused|connection lost|"
    r"socket hang up|econnreset|etimedout|^timeout$|\b(?:request|response|connection|network|"
    r"stream|read) (?:timeout|timed out|time out)\b|"
    r"try your request again|resource_exhausted|\btry again (?:later|in\b)|\b(?:currently|"
    r"temporarily) at capacity\b",
    re.IGNORECASE,
)


def _leaves(kind: type[BridgeError] = BridgeError) -> list[type[BridgeError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaves(child))]


def test_what_utf_8_cannot_encode_is_escaped() -> None:
    """A file name that is not UTF-8 may be part of a message.

    Unescaped, the message could not be encoded, and the response would be a 500.
    """
    error = BridgeError("there is no file caf\udce9.gguf")
    assert rb"caf\\xe9.gguf" in orjson.dumps(error.body())


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("id 15003 is unknown", "id 15,003 is unknown"),
        ("at most 500 items", "at most 5\u206000 items"),
        ("1500 of 4290", "1,5\u206000 of 4,290"),
        ("a Server_Error", "a S\u2060erver_Error"),
        ("Rate limit! Try again in 5 s", "R\u2060ate limit! T\u2060ry again in 5 s"),
        ("timeout", "t\u2060imeout"),
        (
            "the template was terminated by a network-error",
            "the template was t\u2060erminated by a n\u2060etwork-error",
        ),
        ("1.5003 and 12345678901234567890", "1.5,003 and 12345678901234567890"),
        ("nothing to hide: 42", "nothing to hide: 42"),
    ],
)
def test_numbers_that_look_like_a_status(said: str, right: str) -> None:
    assert neutralize(said) == right
    assert not RETRIED.search(neutralize(said))


def test_no_refusal_can_be_taken_for_a_passing_trouble() -> None:
    error = BackendStatusError(
        "server_error: 502 bad tokens, 429 of 15003", status=422, type="server_error"
    )
    assert not RETRIED.search(str(error.body()))
    assert error.status == 422


def test_an_overflow_keeps_its_words_and_numbers() -> None:
    sentence = (
        "request (15003 tokens) exceeds the available context size (2048 tokens), try increasing it"
    )
    assert ContextOverflow(sentence, context=2048, prompt=15003).body()["error"] == {
        "message": sentence,
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
        "n_ctx": 2048,
        "n_prompt_tokens": 15003,
    }
    assert "n_ctx" not in ContextOverflow(sentence).body()["error"]


def test_a_broken_answer_is_asked_for_again() -> None:
    assert RETRIED.search(str(AnswerInterrupted("gone").body()))
    assert RETRIED.search(str(BackendFailed("gone", status=503).body()))


CANNOT_BE_CURED_BY_REPEATING = [
    errors.ClientError("m"),
    errors.BadRequest("m"),
    ContextOverflow("m"),
    errors.BackendRefused("m"),
    errors.CrashesModel("m"),
    errors.ToolChoiceUnmet("m"),
    errors.Unauthorized("m"),
    errors.OutOfCredit("m"),
    errors.Forbidden("m"),
    errors.NotFound("m"),
    ModelNotFound("m"),
    errors.MethodNotAllowed("m"),
    errors.BodyTooLarge("m"),
    errors.HeadTooLarge("m"),
    *(
        BackendStatusError("m", status=status, type="t", headers={"x-should-retry": "true"})
        for status in (401, 402, 403, 404, 413, 422, 426)
    ),
    errors.ChildFailed("m"),
    *(BackendFailed("m", status=status) for status in (501, 505, 508)),
    errors.InvalidBackendResponse("m", retryable=False),
    errors.ProxyLoop("m"),
]
MAY_PASS = [
    BridgeError("m"),
    errors.RequestTimeout("m"),
    *(BackendStatusError("m", status=status, type="t") for status in (408, 409, 425, 429)),
    errors.Unavailable("m"),
    ModelLoading("m"),
    errors.Overloaded("m"),
    errors.ShuttingDown("m"),
    errors.ModelUnloaded("m"),
    *(BackendFailed("m", status=status) for status in (500, 502, 503, 504, 529)),
    errors.InvalidBackendResponse("m"),
    AnswerInterrupted("m"),
    errors.BackendDisconnected("m"),
    errors.BackendTimeout("m"),
]


def test_each_error_tells_whether_a_retry_can_help() -> None:
    assert {type(error) for error in [*CANNOT_BE_CURED_BY_REPEATING, *MAY_PASS]} == set(_leaves())
    for error in CANNOT_BE_CURED_BY_REPEATING:
        assert error.headers["x-should-retry"] == "false", (error, error.status)
    for error in MAY_PASS:
        assert "x-should-retry" not in error.headers, (error, error.status)


def test_the_message_of_a_temporary_error_is_kept() -> None:
    quota = BackendStatusError(
        "m", status=429, type="t", headers={"x-should-retry": "false", "retry-after": "3600"}
    )
    assert quota.headers == {"x-should-retry": "false", "retry-after": "3600"}


@pytest.mark.parametrize(
    "phrase",
    [
        "exceeds the available context size",
        "context_length_exceeded",
        "maximum context length is 4096 tokens",
        "Prompt is too long",
        "exceeds the limit of 20",
        "too many tokens",
        "token limit exceeded",
        "reduce the length of the messages",
        "request_too_large",
        "Request Entity Too Large",
        "exceeds the context window",
        "greater than the context length",
        "model_context_window_exceeded",
        "input is too long for requested model",
        "rate limit",
        "Too Many Requests",
    ],
)
@pytest.mark.parametrize(
    "kind", [errors.BadRequest, errors.Forbidden, ModelNotFound, errors.BodyTooLarge]
)
def test_what_is_no_overflow_and_no_rate_limit_has_none_of_their_words(
    kind: type[BridgeError], phrase: str
) -> None:
    error = kind(f"the tool list {phrase}, says the backend", param=phrase).body()["error"]
    for said, meant in (
        (error["message"], f"the tool list {phrase}, says the backend"),
        (error["param"], phrase),
    ):
        assert phrase.lower() not in said.lower()
        # The visible text is unchanged.
        assert said.replace("\u2060", "").replace("4,096", "4096") == meant


def test_the_place_of_a_field_is_no_status() -> None:
    assert not RETRIED.search(str(errors.BadRequest("m", param="messages[1500]").body()))


def test_the_log_gets_one_line_and_nothing_of_what_a_model_wrote() -> None:
    assert (
        BackendFailed("Failed to parse input at pos 7: secret\nmore").summary
        == "Failed to parse input at pos 7"
    )
    assert (
        BackendFailed("could not start: no memory\nline of a log").summary
        == "could not start: no memory"
    )
    assert len(BackendFailed("x" * 5000).summary) == 300


def test_every_error_has_the_four_fields_of_openai() -> None:
    for error in (
        ModelNotFound("m", param="model"),
        ModelLoading("m"),
        BackendFailed("m", status=500),
    ):
        assert set(error.body()["error"]) == {"message", "type", "param", "code"}
    assert ModelLoading("m").headers == {"retry-after": "5"}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__[errors.__doc__.index("BridgeError") :]
    assert {leaf.__name__ for leaf in _leaves()} == set(
        re.findall(r"^[ │]*[├└]?[─ ]*([A-Z]\w+)", tree, re.MULTILINE)
    )
