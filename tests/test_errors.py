"""The words of an error decide whether a client asks again."""

import re

import pytest

from proxy import errors
from proxy.errors import BackendFailed, BackendSaid, BridgeError, BrokenOff, ContextOverflow, ModelLoading, ModelNotFound, calm

# What OpenCode looks for in the body of an answer to decide that asking again may help.
RETRIED = re.compile(
    r"429|500|502|503|504|524|rate limit|rate_limit|too many requests|overloaded|service unavailable|internal error|server error|"
    r"server_error|provider returned error|terminated|fetch failed|network[-_\s]error|connection error|connection refused|connection lost|"
    r"socket hang up|econnreset|etimedout|^timeout$|\b(?:request|response|connection|network|stream|read) (?:timeout|timed out|time out)\b|"
    r"try your request again|resource_exhausted|\btry again (?:later|in\b)|\b(?:currently|temporarily) at capacity\b",
    re.IGNORECASE,
)


def _leaves(kind: type[BridgeError] = BridgeError) -> list[type[BridgeError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaves(child))]


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("id 15003 is unknown", "id 15,003 is unknown"),
        ("at most 500 items", "at most 5\u206000 items"),
        ("1500 of 4290", "1,5\u206000 of 4,290"),
        ("a Server_Error", "a S\u2060erver_Error"),
        ("Rate limit! Try again in 5 s", "R\u2060ate limit! T\u2060ry again in 5 s"),
        ("timeout", "t\u2060imeout"),
        ("the template was terminated by a network-error", "the template was t\u2060erminated by a n\u2060etwork-error"),
        ("1.5003 and 12345678901234567890", "1.5,003 and 12345678901234567890"),
        ("nothing to hide: 42", "nothing to hide: 42"),
    ],
)
def test_numbers_that_look_like_a_status(said: str, right: str) -> None:
    assert calm(said) == right
    assert not RETRIED.search(calm(said))


def test_no_refusal_can_be_taken_for_a_passing_trouble() -> None:
    error = BackendSaid("server_error: 502 bad tokens, 429 of 15003", status=422, type="server_error")
    assert not RETRIED.search(str(error.body()))
    assert error.status == 422


def test_an_overflow_keeps_its_words_and_numbers() -> None:
    sentence = "request (15003 tokens) exceeds the available context size (2048 tokens), try increasing it"
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
    assert RETRIED.search(str(BrokenOff("gone").body()))
    assert RETRIED.search(str(BackendFailed("gone", status=503).body()))


def test_the_log_gets_one_line_and_nothing_of_what_a_model_wrote() -> None:
    assert BackendFailed("Failed to parse input at pos 7: secret\nmore").brief == "Failed to parse input at pos 7"
    assert BackendFailed("could not start: no memory\nline of a log").brief == "could not start: no memory"
    assert len(BackendFailed("x" * 5000).brief) == 300


def test_every_error_has_the_four_fields_of_openai() -> None:
    for error in (ModelNotFound("m", param="model"), ModelLoading("m"), BackendFailed("m", status=500)):
        assert set(error.body()["error"]) == {"message", "type", "param", "code"}
    assert ModelLoading("m").headers == {"retry-after": "5"}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__.partition("\n\n")[2]
    assert {leaf.__name__ for leaf in _leaves()} == set(re.findall(r"^[ │]*[├└]?[─ ]*([A-Z]\w+)", tree, re.MULTILINE))
