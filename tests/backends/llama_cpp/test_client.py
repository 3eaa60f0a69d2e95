"""llama.cpp's answers without its own parser: what shows that it gave up, what is at hand then,
and how it is asked past it.
"""

import asyncio
import json
from typing import Any

import httpx
import pytest

from proxy.backends.address import BackendAddress
from proxy.backends.http import HttpClient
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.llama_cpp.client import RawMode
from proxy.backends.llama_cpp.parser_failures import LogWindow
from proxy.backends.provider import FixedProvider, Provider
from proxy.chat_request.request import parse
from proxy.errors import (
    AnswerInterrupted,
    BackendFailed,
    BackendTimeout,
    BridgeError,
    InvalidBackendResponse,
    NotFound,
)
from proxy.llama_server.process.logs import KEPT_LINES
from tests.backend import Backend, stream
from tests.llama_server.in_time import timed
from tests.logged import AFTER, ANSWER, BLOCK, logged

CHAT, TEMPLATE, COMPLETION, PROPS, MODELS = (
    "/v1/chat/completions",
    "/apply-template",
    "/completion",
    "/props",
    "/v1/models",
)
LISTED = {"data": [{"id": "m", "owned_by": "llamacpp"}]}
FAILED = "The model produced output that does not match the expected peg-native format"
GAVE_UP = [
    FAILED,
    "Failed to parse input at pos 5: <tool_call>",
    'JSON schema error at #/properties/a: unsupported type "x"',
    "failed to parse grammar",
    "Failed to initialize samplers: no",
    "Unable to generate parser for this template.",
    "While executing CallExpression at line 5",
    "Jinja Exception: roles must alternate",
]
QUESTION = parse(
    b'{"messages": [{"role": "user", "content": "hi"}], "model": "mine", "tools": [{"a": 1}], '
    b'"tool_choice": "auto",'
    b' "max_tokens": 5, "chat_template_kwargs": {"enable_thinking": false}}'
)


def way(place: Provider | None = None, **answers: Any) -> tuple[RawMode, Backend]:
    script = Backend(
        {
            MODELS: httpx.Response(200, json=LISTED),
            **{path: answers[name] for name, path in _PATHS.items() if name in answers},
        }
    )
    return LlamaCpp(
        HttpClient(script), place or FixedProvider(BackendAddress("http://127.0.0.1:1/v1"))
    ).raw_mode(), script


_PATHS = {"chat": CHAT, "template": TEMPLATE, "completion": COMPLETION, "props": PROPS}


def meant(message: str, status: int) -> BridgeError:
    backend = LlamaCpp(
        HttpClient(Backend()), FixedProvider(BackendAddress("http://127.0.0.1:1/v1"))
    )
    return backend.map_error(status, json.dumps({"error": {"message": message}}).encode(), {})


# whether it gave up


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("message", GAVE_UP)
def test_signs_of_a_parser_that_gave_up(message: str, status: int) -> None:
    raw, _ = way()
    assert raw.is_parser_failure(meant(message, status))
    assert raw.is_schema_failure(meant(message, status)) is any(
        word in message for word in ("schema", "grammar", "samplers")
    )


@pytest.mark.parametrize(
    "error",
    [
        meant("the slot is gone", 500),
        meant("tools param requires --jinja flag", 500),
        meant(FAILED, 503),
        meant(FAILED, 422),
        meant("request (5 tokens) exceeds the available context size (4 tokens), Jinja", 400),
        AnswerInterrupted(FAILED),
        BackendTimeout(FAILED),
        NotFound(FAILED),
    ],
    ids=lambda error: f"{type(error).__name__} {error.status}",
)
def test_other_errors_are_no_such_sign(error: BridgeError) -> None:
    assert not way()[0].is_parser_failure(error)


# the answer itself


async def at_hand(
    message: str, said: str, place: Provider | None = None, watch: LogWindow | None = None
) -> str | None:
    return await way(place)[0].recover_output(
        BackendFailed(message), said, watch or LogWindow(1, exclusive=True)
    )


@pytest.mark.parametrize(
    ("said", "at", "answer"),
    [
        ("", 0, "<tool_call>\nä "),
        ("I look", 0, "<tool_call>\nä "),
        ("I look", 6, "I look<tool_call>\nä "),
        ("Größe ", 8, "Größe <tool_call>\nä "),
        ("Größe ", 6, None),
        ("I look", 5, None),
        ("", 3, None),
    ],
)
async def test_older_builds_tell_it_in_the_error(said: str, at: int, answer: str | None) -> None:
    assert await at_hand(f"Failed to parse input at pos {at}: <tool_call>\nä ", said) == answer


async def test_one_block_in_the_log_is_it_to_the_last_blank() -> None:
    assert await at_hand(FAILED, "", logged(*BLOCK, AFTER)) == ANSWER
    assert await at_hand(FAILED, "", logged("0.00.1 I slot", *BLOCK, AFTER, "other")) == ANSWER


@pytest.mark.parametrize(
    "lines",
    [
        [*BLOCK, *BLOCK, AFTER],
        [*BLOCK, AFTER, *BLOCK, AFTER],
        [*BLOCK[:3], "x" * 65536, *BLOCK[3:], AFTER],
        [*BLOCK[:3], "ä" * 32768, *BLOCK[3:], AFTER],
        [*BLOCK[:3], "x" * 65536, AFTER, *BLOCK, AFTER],
    ],
    ids=[
        "two",
        "apart",
        "too long a line",
        "too many bytes in a line",
        "too long a line in one of two",
    ],
)
def test_blocks_that_may_be_of_another_request_or_incomplete(lines: list[str]) -> None:
    assert timed(lambda: at_hand(FAILED, "", logged(*lines))) == (None, 0.0)


async def test_what_stood_there_before_is_not_ours() -> None:
    place = logged(*BLOCK, AFTER)
    assert await at_hand(FAILED, "", place, LogWindow(place.lines.position, exclusive=True)) is None


async def test_a_block_that_has_rotated_away() -> None:
    assert (
        await at_hand(FAILED, "", logged(*BLOCK, AFTER, *["0.1 I more"] * (KEPT_LINES - 4))) is None
    )


@pytest.mark.parametrize("late", [BLOCK[:2], BLOCK], ids=["half", "but for the line that ends it"])
async def test_a_log_is_waited_for(late: list[str]) -> None:
    place = logged(*late)
    waiting = asyncio.create_task(at_hand(FAILED, "", place))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    place.write(*BLOCK[len(late) :], AFTER)
    assert await waiting == ANSWER


@pytest.mark.parametrize("late", [BLOCK[:2], BLOCK], ids=["half", "but for the line that ends it"])
def test_waiting_for_the_log_ends(late: list[str]) -> None:
    text, seconds = timed(lambda: at_hand(FAILED, "", logged(*late)))
    assert text is None
    assert 0.25 < seconds < 0.35


@pytest.mark.parametrize(
    ("message", "place"),
    [(FAILED, None), ("Jinja Exception: no", logged(*BLOCK, AFTER))],
    ids=["no log", "other error"],
)
def test_nothing_waits_for_what_cannot_come(message: str, place: Provider | None) -> None:
    assert timed(lambda: at_hand(message, "", place)) == (None, 0.0)


async def test_output_in_the_log_belongs_to_a_request_that_ran_alone() -> None:
    """It shows no names: with two questions under way, the first to fail would take what the
    other was told.
    """
    place = logged()
    raw, _ = way(place)
    first = raw.open_window()
    second = raw.open_window()
    place.write(*BLOCK, AFTER)
    for watch in (first, second):
        assert await raw.recover_output(BackendFailed(FAILED), "", watch) is None
    raw.close_window(first)
    raw.close_window(second)
    third = raw.open_window()
    assert await raw.recover_output(BackendFailed(FAILED), "", third) is None
    place.write(*BLOCK, AFTER)
    assert await raw.recover_output(BackendFailed(FAILED), "", third) == ANSWER


# asked past the parser


async def body_of(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return b"".join([piece async for piece in response.stream])


async def test_the_chat_route_with_parser_and_grammar_off() -> None:
    raw, script = way(
        chat=stream(b"data: x\n\n"),
        props=httpx.Response(200, json={"chat_template": "<|im_start|>"}),
    )
    opened = await raw.send_chat(QUESTION, [(b"x-a", b"b")], ["<a>"])
    assert (await body_of(opened.response), opened.prompt) == (b"data: x\n\n", None)
    (asked,) = script.questions()
    assert (
        asked.items()
        >= {
            "tool_choice": "none",
            "reasoning_format": "none",
            "stream": True,
            "model": "m",
            "tools": [{"a": 1}],
        }.items()
    )
    assert script.asked[-1].headers["x-a"] == "b"


@pytest.mark.parametrize(
    "template",
    ["a <|channel|> b", "{{ '>>>all\n' }}", "<|START_ACTION|>"],
    ids=["gpt-oss", "functionary", "command-r7b"],
)
async def test_templates_whose_calls_the_chat_route_loses(template: str) -> None:
    props, prompt = (
        httpx.Response(200, json={"chat_template": template}),
        httpx.Response(200, json={"prompt": "<s>hi<think>\n"}),
    )
    raw, script = way(props=props, template=prompt, completion=stream(b"data: x\n\n"))
    opened = await raw.send_chat(QUESTION, [(b"x-a", b"b")], ["<a>", "<b>"])
    assert (await body_of(opened.response), opened.prompt) == (b"data: x\n\n", "<s>hi<think>\n")
    assert script.questions() == []
    (asked,) = script.questions(TEMPLATE)
    assert (
        asked.items()
        >= {
            "tool_choice": "none",
            "stream": False,
            "model": "m",
            "chat_template_kwargs": {"enable_thinking": False},
        }.items()
    )
    assert (asked["messages"], asked["tools"]) == (
        QUESTION.body["messages"],
        QUESTION.body["tools"],
    )
    assert script.questions(COMPLETION) == [
        {
            "prompt": "<s>hi<think>\n",
            "preserved_tokens": ["<a>", "<b>"],
            "max_tokens": 5,
            "model": "m",
            "stream": True,
            "return_progress": True,
        }
    ]
    assert script.asked[-1].headers["x-a"] == "b"


@pytest.mark.parametrize("more", [b'"n": 2', b'"response_format": {"type": "json_object"}'])
async def test_what_a_prompt_cannot_say_stays_on_the_chat_route(more: bytes) -> None:
    raw, script = way(
        chat=stream(), props=httpx.Response(200, json={"chat_template": "<|channel|>"})
    )
    await raw.send_chat(parse(b'{"messages": [], %s}' % more), [], [])
    assert len(script.questions()) == 1


@pytest.mark.parametrize("said", [["x"], {"prompt": None}, {"prompt": 5}, {}], ids=str)
async def test_a_prompt_that_is_none(said: Any) -> None:
    raw, script = way(template=httpx.Response(200, json=said))
    with pytest.raises(
        InvalidBackendResponse,
        match=(r"^the backend's response to POST /apply-template contains no prompt$"),
    ):
        await raw.send_completion(QUESTION, [], [])
    assert script.questions(COMPLETION) == []


async def test_a_backend_that_lists_no_models_is_asked_without_one() -> None:
    raw, script = way(template=httpx.Response(200, json={"prompt": "p"}), completion=stream())
    script.on({MODELS: httpx.Response(404)})
    await raw.send_completion(parse(b'{"messages": []}'), [], [])
    assert "model" not in script.questions(COMPLETION)[0]


@pytest.mark.parametrize("props", [["x"], {}, {"chat_template": 5}, {"chat_template": ""}], ids=str)
async def test_a_missing_template_is_requested_once(props: Any) -> None:
    raw, script = way(chat=stream(), props=httpx.Response(200, json=props))
    await raw.send_chat(QUESTION, [], [])
    await raw.send_chat(QUESTION, [], [])
    assert [request.url.path for request in script.asked].count(PROPS) == 1
    assert len(script.questions()) == 2


async def test_a_template_that_cannot_be_had_now_is_asked_for_again() -> None:
    raw, _ = way(
        props=[httpx.Response(503, json={}), httpx.Response(200, json={"chat_template": "t"})]
    )
    assert [await raw.chat_template(), await raw.chat_template()] == ["", "t"]


async def test_at_a_public_host_only_its_api_is_asked() -> None:
    raw, script = way(FixedProvider(BackendAddress("https://api.example.com/v1")), chat=stream())
    opened = await raw.send_chat(QUESTION, [], [])
    assert opened.prompt is None
    with pytest.raises(NotFound, match="is outside the API"):
        await raw.send_completion(QUESTION, [], [])
    assert {request.url.path for request in script.asked} == {MODELS, CHAT}
