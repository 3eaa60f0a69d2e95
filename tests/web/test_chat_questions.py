"""Requests to the backend: the client's request, adapted to the kind of backend."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.backend import END, chunk, models, stream, text
from tests.parsing.cuts import TOOLS
from tests.patience import until
from tests.web.round_trip import BOTH, MODELS, QUESTION, Heard, Road, heard, payloads, refused

ANSWER = [*text("a"), *END]
NO_OPTIONS = {
    "detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
}


@BOTH
async def test_always_asked_to_stream_with_usage(streamed: bool) -> None:
    road = Road(stream(*ANSWER))
    assert heard(await road.ask(streamed=streamed)).content == "a"
    (asked,) = road.script.questions()
    assert asked == QUESTION | {"stream": True, "stream_options": {"include_usage": True}}


@BOTH
async def test_fields_that_we_do_not_know_pass(streamed: bool) -> None:
    odd: dict[str, Any] = {
        "dry_multiplier": 0.5,
        "chat_template_kwargs": {"enable_thinking": False},
        "seed": 2**63,
        "stop": None,
        "my": [{"own": 1}],
    }
    road = Road(stream(*ANSWER))
    await road.ask(streamed=streamed, **odd)
    assert odd.items() <= road.script.questions()[0].items()


async def test_headers_of_the_client_pass_but_its_key_and_what_would_keep_llama_cpp_going() -> None:
    """With a conversation id, llama-server continues to generate after the client disconnects."""
    sent = [
        ("X-Conversation-Id", "5"),
        ("X-Session-Id", "s"),
        ("Authorization", "Bearer mine"),
        ("User-Agent", "opencode/1"),
        ("Te", "x"),
    ]
    road = Road(stream(*ANSWER), backend_api_key="theirs", backend_kind="llama_cpp")
    await road.ask(headers=sent)
    got = road.script.asked[-1].headers
    assert (got["x-session-id"], got["user-agent"], got["authorization"]) == (
        "s",
        "opencode/1",
        "Bearer theirs",
    )
    assert not {"x-conversation-id", "te"} & set(got)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("llama_cpp", ("required", [TOOLS[1]])),
        ("generic", ({"type": "function", "function": {"name": "water"}}, TOOLS)),
    ],
)
async def test_a_named_tool_in_the_words_that_llama_cpp_reads(kind: str, asked: Any) -> None:
    road = Road(stream(*ANSWER), backend_kind=kind)
    await road.ask(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "water"}})
    (question,) = road.script.questions()
    assert (question["tool_choice"], question["tools"]) == asked


@BOTH
async def test_llama_cpp_is_asked_for_its_progress_which_the_client_does_not_see(
    streamed: bool,
) -> None:
    progress = {"total": 100, "cache": 0, "processed": 50, "time_ms": 5}
    road = Road(
        stream(chunk({"role": "assistant", "content": None}, prompt_progress=progress), *ANSWER),
        backend_kind="llama_cpp",
    )
    answer = await road.ask(streamed=streamed)
    assert heard(answer) == Heard("a", finish="stop")
    assert b"progress" not in answer.body
    assert road.script.questions()[0]["return_progress"] is True


async def test_others_are_not_asked_for_it() -> None:
    road = Road(stream(*ANSWER))
    await road.ask()
    assert "return_progress" not in road.script.questions()[0]


@BOTH
async def test_a_backend_that_does_not_know_stream_options_is_asked_without_them_from_then_on(
    streamed: bool,
) -> None:
    road = Road(httpx.Response(422, json=NO_OPTIONS), stream(*ANSWER), stream(*ANSWER))
    for _ in range(2):
        assert heard(await road.ask(streamed=streamed)).content == "a"
    assert ["stream_options" in question for question in road.script.questions()] == [
        True,
        False,
        False,
    ]


async def test_two_questions_at_once_of_a_backend_that_does_not_know_stream_options() -> None:
    """OpenCode starts each conversation with two concurrent requests.

    If the backend refuses the first one, the second must still be answered.
    """
    both_asked = asyncio.Event()

    async def refuse(_: httpx.Request) -> httpx.Response:
        if len(road.script.questions()) == 2:
            both_asked.set()
        await both_asked.wait()
        return httpx.Response(400, json=NO_OPTIONS)

    road = Road(refuse, refuse, lambda _: stream(*ANSWER))
    calls = [road.begin(), road.begin()]
    assert [heard(await call.done()).content for call in calls] == ["a", "a"]
    assert ["stream_options" in question for question in road.script.questions()] == [
        True,
        True,
        False,
        False,
    ]


async def test_two_questions_at_once_find_out_once_what_kind_of_server_it_is() -> None:
    asked = asyncio.Event()

    async def listed(_: httpx.Request) -> httpx.Response:
        await asked.wait()
        return httpx.Response(200, json={"data": [{"id": "m", "owned_by": "llamacpp"}]})

    road = Road(lambda _: stream(*ANSWER), others={MODELS: listed}, backend_kind="auto")
    calls = [road.begin(), road.begin()]
    await until(lambda: road.script.asked)
    await asyncio.sleep(0.01)
    assert len(road.script.asked) == 1
    asked.set()
    assert [heard(await call.done()).content for call in calls] == ["a", "a"]
    assert all(question["return_progress"] for question in road.script.questions())


async def test_logprobs_beside_tools_which_llama_cpp_refuses_to_stream() -> None:
    message = {"role": "assistant", "content": "a"}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": {"content": [{"token": "a"}]},
        "finish_reason": "stop",
    }
    road = Road(httpx.Response(200, json={"choices": [choice]}), backend_kind="llama_cpp")
    answer = await road.ask(streamed=False, logprobs=True, tools=TOOLS)
    assert heard(answer) == Heard("a", finish="stop")
    assert answer.json["choices"][0]["logprobs"] == {"content": [{"token": "a"}]}
    (question,) = road.script.questions()
    assert question["stream"] is False
    assert "stream_options" not in question


@BOTH
@pytest.mark.parametrize(
    ("listed", "wanted", "asked", "meant"),
    [
        (["m"], None, "the client's", "m"),
        (["m"], None, None, "m"),
        (["a", "b"], None, "b", "b"),
        (["a", "b"], "a", "unknown", "a"),
        (["a", "b"], "a", "b", "b"),
        ([], None, "unknown", "unknown"),
    ],
)
async def test_which_model_is_meant(
    streamed: bool, listed: list[str], wanted: str | None, asked: str | None, meant: str
) -> None:
    options = {"backend_model": wanted} if wanted else {}
    road = Road(stream(*ANSWER), others={MODELS: models(*listed)}, **options)
    answer = await road.ask(streamed=streamed, model=asked)
    assert heard(answer).content == "a"
    assert road.script.questions()[0]["model"] == meant
    if asked is not None:
        assert (payloads(answer.body)[0] if streamed else answer.json)["model"] == asked


@BOTH
async def test_with_several_models_and_none_chosen_they_are_listed(streamed: bool) -> None:
    status, error = refused(
        await Road(others={MODELS: models("b", "a")}).ask(streamed=streamed, model="unknown")
    )
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert error["message"].endswith("BACKEND_MODEL to one: a, b")


@pytest.mark.parametrize(
    "listed",
    [
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(501),
        httpx.ReadTimeout("busy"),
    ],
    ids=["none", "a page", "a failure", "silence"],
)
async def test_a_backend_that_lists_no_models_can_be_asked_all_the_same(listed: Any) -> None:
    road = Road(stream(*ANSWER), others={MODELS: listed})
    assert heard(await road.ask()).content == "a"
    assert road.script.questions()[0]["model"] == "m"
