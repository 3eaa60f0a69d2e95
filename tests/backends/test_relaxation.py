"""A refusal that names what no answer depends on is followed by the same question without it,
once and for all.
"""

from typing import Any

import httpx
import pytest

from proxy import exact_json
from proxy.backends.address import BackendAddress
from proxy.backends.generic import Generic
from proxy.backends.http import HttpClient
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.provider import FixedProvider
from proxy.backends.relaxation import relax
from proxy.chat_request.backend_body import Capabilities
from proxy.chat_request.request import parse
from proxy.errors import BridgeError
from tests.backend import Backend, models, stream

CHAT = "/v1/chat/completions"
STRICT = [{"type": "function", "function": {"name": "f", "strict": False}}]
USERS = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
LAST_STEP = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "No more steps."}]


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("body.store: Extra inputs are not permitted", {"dropped_fields": {"store"}}),
        ("Unrecognized request argument supplied: store", {"dropped_fields": {"store"}}),
        ("property 'store' is unsupported", {"dropped_fields": {"store"}}),
        (
            "body.tools.0.function.strict: Extra inputs are not permitted",
            {"dropped_fields": {"strict"}},
        ),
        (
            "body.store: Extra inputs; body.tools.0.function.strict: Extra inputs",
            {"dropped_fields": {"store", "strict"}},
        ),
        ("Unknown parameter: 'prompt_cache_key'", {"dropped_fields": {"prompt_cache_key"}}),
        ("Unsupported parameter: 'max_completion_tokens'", {"max_completion_tokens": False}),
        ("unknown field reasoning_content", {"reasoning_field": None}),
        ("stream_options is only allowed with stream", {"stream_options": False}),
        (
            "Conversation roles must alternate user/assistant/user/assistant/...",
            {"consecutive_users": False},
        ),
        ("Assistant response prefill is incompatible with enable_thinking.", {"prefill": False}),
        ("Cannot have 2 or more assistant messages at the end of the list.", {"prefill": False}),
        (
            (
                "Expected last role User or Tool (or Assistant with prefix True) for serving but "
                "got assistant"
            ),
            {"prefill": False},
        ),
        ("The store is closed", {}),
        ("unknown model 'restored'", {}),
        ("unsupported file", {}),
        # Of a whole conversation only the beginning is searched.
        ("x" * 16_384 + " property 'store' is unsupported", {}),
    ],
)
def test_what_a_refusal_changes(message: str, changes: dict[str, Any]) -> None:
    assert relax(message, Capabilities()) == changes


def test_what_was_left_out_stays_left_out() -> None:
    assert relax(
        "strict: extra fields not permitted", Capabilities(dropped_fields=frozenset({"store"}))
    ) == {"dropped_fields": {"store", "strict"}}
    assert relax("unknown field reasoning_content", Capabilities(reasoning_field=None)) == {}


async def asked(
    kind: type[Generic] | type[LlamaCpp], refusals: list[httpx.Response], **fields: Any
) -> list[Any]:
    """Two questions of the same backend."""
    script = Backend({"/v1/models": models("m"), CHAT: [*refusals, stream(), stream()]})
    backend = kind(HttpClient(script), FixedProvider(BackendAddress("http://10.0.0.5/v1")))
    for _ in range(2):
        await backend.send_chat(parse(exact_json.dumps({"messages": [], **fields})), [])
    questions: list[Any] = script.questions()
    return questions


def extra(*places: str, status: int = 422) -> httpx.Response:
    return httpx.Response(
        status,
        json={
            "detail": [
                {"loc": ["body", *place.split(".")], "msg": "Extra inputs are not permitted"}
                for place in places
            ]
        },
    )


async def test_store_and_strict_are_dropped_where_they_are_refused_and_this_is_remembered() -> None:
    questions = await asked(
        Generic,
        [extra("store"), extra("tools.0.function.strict", status=400)],
        store=False,
        tools=STRICT,
    )
    assert ["store" in question for question in questions] == [True, False, False, False]
    assert ["strict" in question["tools"][0]["function"] for question in questions] == [
        True,
        True,
        False,
        False,
    ]


async def test_a_limit_under_its_new_name() -> None:
    refusal = httpx.Response(
        400, json={"error": {"message": "Unsupported parameter: 'max_completion_tokens'"}}
    )
    questions = await asked(Generic, [refusal], max_completion_tokens=5)
    assert [question.get("max_tokens") for question in questions] == [None, 5, 5]


async def test_a_template_that_wants_turns() -> None:
    """llama.cpp says it as a failure of its own, although it can never be answered."""
    refusal = httpx.Response(
        500,
        json={
            "error": {
                "message": "Jinja Exception: Conversation roles must alternate",
                "type": "server_error",
            }
        },
    )
    questions = await asked(LlamaCpp, [refusal], messages=USERS)
    assert [question["messages"] for question in questions] == [
        USERS,
        *([[{"role": "user", "content": "a\n\nb"}]] * 2),
    ]


async def test_a_last_step_where_no_answer_may_be_begun() -> None:
    refusal = httpx.Response(
        400,
        json={
            "error": {"message": "Assistant response prefill is incompatible with enable_thinking."}
        },
    )
    questions = await asked(
        LlamaCpp, [refusal], messages=LAST_STEP, tools=STRICT, tool_choice="none"
    )
    assert [question["messages"][-1]["role"] for question in questions] == [
        "assistant",
        "user",
        "user",
    ]


async def test_the_beginning_of_an_answer_reaches_no_other_client() -> None:
    refusal = httpx.Response(
        400,
        json={
            "error": {"message": "Assistant response prefill is incompatible with enable_thinking."}
        },
    )
    with pytest.raises(BridgeError, match="prefill"):
        await asked(LlamaCpp, [refusal], messages=LAST_STEP)
