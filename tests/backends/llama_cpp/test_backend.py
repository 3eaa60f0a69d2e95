"""The llama.cpp backend against recorded answers; the real server has tests of its own."""

from typing import Any

import httpx
import orjson
import pytest

from proxy.backends.address import BackendAddress
from proxy.backends.generic import Generic
from proxy.backends.http import HttpClient
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.provider import FixedProvider
from proxy.backends.server_info import BackendInfo
from proxy.chat_request.request import parse
from proxy.errors import ContextOverflow, InvalidBackendResponse
from proxy.parsing.events import Usage
from tests.backend import Backend

QUESTION = parse(b'{"messages": [], "model": "m"}')
LISTED = {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 2048}}]}
COUNT = "/v1/chat/completions/input_tokens"


def llama_cpp(**answers: Any) -> tuple[LlamaCpp, Backend]:
    script = Backend({"/v1/models": httpx.Response(200, json=LISTED), **answers})
    return LlamaCpp(
        HttpClient(script), FixedProvider(BackendAddress("http://10.0.0.5/v1", "k"))
    ), script


def _counted(number: Any) -> httpx.Response:
    return httpx.Response(200, json={"input_tokens": number})


async def test_an_overflow_is_refused_in_llama_cpp_s_own_words() -> None:
    backend, script = llama_cpp(**{COUNT: _counted(15003)})
    with pytest.raises(ContextOverflow) as caught:
        await backend.check_overflow(QUESTION)
    assert caught.value.body()["error"]["message"] == (
        "request (15003 tokens) exceeds the available context size (2048 tokens), try increasing it"
    )
    assert caught.value.numbers == {"n_ctx": 2048, "n_prompt_tokens": 15003}
    assert script.asked[0].headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    "answer",
    [
        _counted(2047),
        _counted("x"),
        httpx.Response(200, json=[]),
        httpx.Response(404),
        httpx.ConnectError("refused"),
    ],
)
async def test_what_fits_or_cannot_be_counted_is_not_refused(answer: Any) -> None:
    await llama_cpp(**{COUNT: answer})[0].check_overflow(QUESTION)


async def test_the_prompt_is_counted_as_it_will_be_asked() -> None:
    backend, script = llama_cpp(**{COUNT: _counted(5)})
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    choice = {"type": "function", "function": {"name": "b"}}
    question = parse(
        orjson.dumps({"messages": [], "model": "m", "tools": tools, "tool_choice": choice})
    )
    assert await backend.check_overflow(question)
    [body] = [
        orjson.loads(body)
        for request, body in zip(script.asked, script.bodies, strict=True)
        if request.url.path == COUNT
    ]
    assert (body["tools"], body["tool_choice"]) == (tools[1:], "required")


@pytest.mark.parametrize(
    ("path", "takes"),
    [
        ("/v1/completions", True),
        ("/completion", True),
        ("/infill", True),
        ("/v1/messages", True),
        ("/v1/responses", True),
        ("/v1/chat/completions", True),  # below /upstream
        ("/anything", True),
        ("/tokenize", False),
        ("/v1/embeddings", False),
        ("/embedding/", False),
        ("/v1/rerank", False),
        ("/v1/messages/count_tokens", False),
        ("/v1/chat/completions/input_tokens", False),
        ("/slots/1", False),
        ("/props", False),
    ],
)
def test_what_takes_part_of_the_context(path: str, takes: bool) -> None:
    assert llama_cpp()[0].uses_context(path) is takes
    assert not Generic(
        HttpClient(Backend({})), FixedProvider(BackendAddress("http://10.0.0.5/v1", "k"))
    ).uses_context(path)


def _usage(completion: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": completion}}


def _finish(index: int, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}], **more}


@pytest.mark.parametrize(
    ("chunks", "counted"),
    [
        ([_finish(0), _usage(5)], [5]),
        ([_finish(0), _usage(5), _finish(1), _usage(6)], [5, 11]),
        ([_finish(1), _usage(5), _finish(0), _usage(6)], [5, 11]),
        ([_finish(0, usage=_usage(5)["usage"]), _usage(5)], [5, 5]),
        ([_finish(0), _usage(5), _usage(5)], [5, 5]),
        ([_usage(1), _usage(2), _finish(0), _usage(3)], [1, 2, 3]),
        ([_usage(1), _finish(0, usage=_usage(3)["usage"]), _usage(3)], [1, 3, 3]),
        ([_finish(0), _usage(5), _finish(1), _usage(6), _usage(6)], [5, 11, 11]),
    ],
)
def test_each_choice_is_counted_by_itself_and_once_and_so_is_the_prompt(
    chunks: list[dict[str, Any]], counted: list[int]
) -> None:
    reply = llama_cpp()[0].response_reader()
    usages = [
        event for chunk in chunks for _, event in reply.read(chunk) if isinstance(event, Usage)
    ]
    assert usages == [Usage(9, completion) for completion in counted]


async def test_how_it_describes_itself() -> None:
    props = {
        "default_generation_settings": {"n_ctx": 512},
        "model_alias": "tiny",
        "chat_template_caps": {"supports_tools": True},
    }
    assert await llama_cpp(**{"/props": httpx.Response(200, json=props)})[
        0
    ].describe() == BackendInfo("tiny", 512, True)


@pytest.mark.parametrize(
    ("modalities", "inputs"),
    [
        ({"vision": True, "audio": False}, ("text", "image")),
        ({"vision": True, "audio": True}, ("text", "image", "audio")),
        ({"vision": False}, ("text",)),
        ({}, ("text",)),
        ("vision", None),
    ],
)
async def test_whether_its_model_sees(modalities: Any, inputs: Any) -> None:
    props = {"model_alias": "tiny", "modalities": modalities}
    assert (
        await llama_cpp(**{"/props": httpx.Response(200, json=props)})[0].describe()
    ).inputs == inputs


async def test_an_old_version_reports_less() -> None:
    assert await llama_cpp(**{"/props": httpx.Response(200, json={"chat_template_caps": 5})})[
        0
    ].describe() == BackendInfo("m", 2048)
    assert await llama_cpp(**{"/props": httpx.Response(200, json={"model_alias": "tiny"})})[
        0
    ].describe() == BackendInfo("tiny")


async def test_as_a_router_of_several_it_speaks_for_the_one_that_is_loaded() -> None:
    loaded = {
        "id": "b",
        "owned_by": "llamacpp",
        "status": {"value": "loaded"},
        "meta": {"n_ctx": 4096},
    }
    several = {
        "data": [{"id": "a", "owned_by": "llamacpp", "status": {"value": "unloaded"}}, loaded]
    }
    props = {"role": "router", "model_alias": "", "default_generation_settings": {"n_ctx": 0}}
    listed, counted = httpx.Response(200, json=several), _counted(5000)
    backend, script = llama_cpp(
        **{"/v1/models": listed, "/props": httpx.Response(200, json=props), COUNT: counted}
    )
    assert await backend.describe() == BackendInfo("b", 4096)
    with pytest.raises(ContextOverflow):
        await backend.check_overflow(QUESTION)
    assert script.questions(COUNT)[0]["model"] == "b"


async def test_something_else_at_that_path() -> None:
    with pytest.raises(InvalidBackendResponse, match="not JSON"):
        await llama_cpp(**{"/props": httpx.Response(200, text="<html>")})[0].describe()
    with pytest.raises(InvalidBackendResponse, match="not a JSON object"):
        await llama_cpp(**{"/props": httpx.Response(200, json=[])})[0].describe()
