"""llama-cpp-python's server is asked one thing at a time: whoever asks meanwhile would cut the
answer that is under way.
"""

import asyncio
from typing import Any

import httpx
import pytest

from proxy.app import create_app
from proxy.backends import KINDS
from proxy.backends.address import BackendAddress
from proxy.backends.detection import RECHECK_INTERVAL, Detection
from proxy.backends.http import HttpClient
from proxy.backends.llama_cpp_python import LlamaCppPython
from proxy.backends.provider import FixedProvider
from proxy.backends.server_info import BackendInfo
from proxy.chat_request.request import parse
from proxy.errors import AnswerInterrupted, BackendRefused, ContextOverflow
from proxy.settings import load
from tests.asgi import ask
from tests.backend import END, Backend, models, stream
from tests.clock import Clock
from tests.patience import HANGS

CHAT = "/v1/chat/completions"
QUESTION = parse(b'{"model": "m", "messages": []}')


def server(**answers: Any) -> tuple[LlamaCppPython, Backend]:
    behind = Backend(
        {"/v1/models": models("m", owner="me"), CHAT: lambda _: stream(b"a", b"b"), **answers}
    )
    return LlamaCppPython(
        HttpClient(behind), FixedProvider(BackendAddress("http://10.0.0.5/v1")), None
    ), behind


async def test_questions_wait_for_each_other_and_nothing_else_is_asked_meanwhile() -> None:
    backend, behind = server()
    first = await backend.send_chat(QUESTION, [])
    asked = len(behind.asked)
    second = asyncio.create_task(backend.send_chat(QUESTION, []))
    await asyncio.sleep(0.01)
    assert [model.id for model in await backend.models(max_age=0.0)] == ["m"]
    assert await backend.describe() == BackendInfo("m")
    assert len(behind.asked) == asked
    assert [piece async for piece in backend.http.stream(first)] == [b"a", b"b"]
    await first.aclose()
    await (await second).aclose()
    assert len(behind.questions()) == 2


async def test_its_kind_is_not_checked_while_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    behind = Backend(
        {"/v1/models": models("m", owner="llama-cpp-python"), CHAT: lambda _: stream(b"a")}
    )
    http = HttpClient(behind, lambda: detection.mark_stale())
    detection = Detection(KINDS, http, FixedProvider(BackendAddress("http://10.0.0.5/v1")), None)
    backend = await detection.backend()
    answer = await backend.send_chat(QUESTION, [])
    asked = len(behind.asked)
    clock.now += RECHECK_INTERVAL + 1
    assert await detection.backend() is backend
    detection.mark_stale()
    assert await detection.backend() is backend
    await asyncio.sleep(0)
    assert len(behind.asked) == asked
    await answer.aclose()
    behind.on({"/v1/models": models("m", owner="vllm")})
    assert (await detection.backend()).kind == "vllm"  # the doubt has lasted


async def test_a_refusal_and_a_client_that_left_let_the_next_one_in() -> None:
    backend, behind = server(**{CHAT: httpx.Response(400, json={"error": "no"})})
    with pytest.raises(BackendRefused):
        await backend.send_chat(QUESTION, [])
    behind.on({CHAT: lambda _: asyncio.sleep(60)})
    waiting = asyncio.create_task(backend.send_chat(QUESTION, []))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    behind.on({CHAT: lambda _: stream()})
    async with asyncio.timeout(HANGS):
        response = await backend.send_chat(QUESTION, [])
    await response.stream.aclose()  # type: ignore[union-attr] # what an async transport gives
    # Twice: the turn of somebody else is not ended.
    await response.stream.aclose()  # type: ignore[union-attr]
    await (await backend.send_chat(QUESTION, [])).aclose()


async def test_a_look_at_its_models_does_not_cut_an_answer() -> None:
    seen = asyncio.Event()

    async def slowly(_: httpx.Request) -> httpx.Response:
        await seen.wait()
        return models("m", owner="me")

    backend, behind = server(**{"/v1/models": [slowly, models("m", owner="me")]})
    look = asyncio.create_task(backend.models())
    await asyncio.sleep(0)
    question = asyncio.create_task(backend.send_chat(QUESTION, []))
    await asyncio.sleep(0.01)
    assert behind.questions() == []
    seen.set()
    assert [model.id for model in await look] == ["m"]
    await (await question).aclose()


async def test_who_waits_may_leave_and_a_broken_answer_lets_the_next_one_in() -> None:
    backend, behind = server(**{CHAT: [stream(b"a", httpx.ReadError("lost")), stream(b"b")]})
    first = await backend.send_chat(QUESTION, [])
    leaves, stays = [asyncio.create_task(backend.send_chat(QUESTION, [])) for _ in range(2)]
    await asyncio.sleep(0.01)
    leaves.cancel()
    with pytest.raises(AnswerInterrupted):
        await backend.http.read(first)
    assert await backend.http.read(await stays) == b"b"
    assert leaves.cancelled()
    assert len(behind.questions()) == 2


async def test_what_passes_through_waits_too() -> None:
    behind = Backend(
        {
            "/v1/models": models("m", owner="me"),
            CHAT: lambda _: stream(*END),
            "/v1/embeddings": httpx.Response(200, json={}),
        }
    )
    app = create_app(
        load({"BACKEND_URL": "http://10.0.0.5", "BACKEND_KIND": "llama-cpp-python"}),
        transport=behind,
    )
    backend = await app.app_state.backend()
    first = await backend.send_chat(QUESTION, [])
    passing = asyncio.create_task(ask(app, "/v1/embeddings", {"input": "x"}))
    await asyncio.sleep(0.01)
    assert behind.questions("/v1/embeddings") == []
    await first.aclose()
    assert (await passing).status == 200
    await (await backend.send_chat(QUESTION, [])).aclose()


async def test_an_empty_stream_is_asked_for_its_reason() -> None:
    refusal = httpx.Response(
        400, json={"error": {"message": "This model's maximum context length is 512 tokens."}}
    )
    backend, behind = server(**{CHAT: [stream(), refusal, stream(), httpx.Response(200, json={})]})
    response = await backend.send_chat(QUESTION, [])
    with pytest.raises(ContextOverflow):
        await anext(backend.http.stream(response))
    await response.aclose()
    assert [asked["stream"] for asked in behind.questions()] == [True, False]
    # It has none: the answer is broken off.
    assert [
        piece async for piece in backend.http.stream(await backend.send_chat(QUESTION, []))
    ] == []


async def test_another_client_keeps_it_busy() -> None:
    backend, behind = server(**{"/v1/models": httpx.ReadTimeout("busy")})
    await (await backend.send_chat(QUESTION, [])).aclose()
    assert behind.questions()[0]["model"] == "m"


async def test_the_repeat_penalty_is_off_unless_the_client_sets_it() -> None:
    backend, behind = server()
    for body in (
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": [], "repeat_penalty": 1.3}',
    ):
        await (await backend.send_chat(parse(body), [])).aclose()
    assert [asked["repeat_penalty"] for asked in behind.questions()] == [1.0, 1.3]
