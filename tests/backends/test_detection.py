"""Which kind of server it is: from its models, or by a closer look at a server at home."""

import asyncio
from typing import Any

import httpx
import pytest

from proxy.app import create_app
from proxy.backends import KINDS, canonical_kind, kinds_at
from proxy.backends.address import BackendAddress, parse
from proxy.backends.detection import ERROR_TTL, Detection
from proxy.backends.generic import Generic
from proxy.backends.http import HttpClient
from proxy.backends.provider import FixedProvider
from proxy.backends.zen import Zen
from proxy.settings import load
from tests.asgi import ask
from tests.backend import END, Backend, models, stream, text
from tests.backends.transcripts import KINDS as NAMES
from tests.backends.transcripts import entries
from tests.clock import Clock

HOME, WORLD = BackendAddress("http://10.0.0.5/v1"), BackendAddress("https://api.example.com/v1")
GREETINGS: dict[str, dict[str, Any]] = {
    "lm_studio": {"/lmstudio-greeting": httpx.Response(200, json={"lmstudio": True})},
    "ollama": {
        "/": httpx.Response(200, text="Ollama is running"),
        "/api/version": httpx.Response(200, json={"version": "0.12.1"}),
    },
}


async def found(answers: dict[str, Any], address: BackendAddress = HOME) -> tuple[str, Backend]:
    behind = Backend({"/v1/models": httpx.Response(404), **answers})
    detection = Detection(
        kinds_at(address, "auto"), HttpClient(behind), FixedProvider(address), None
    )
    return (await detection.backend()).kind, behind


@pytest.mark.parametrize("name", NAMES)
async def test_every_kind_is_known_by_its_own_list(name: str) -> None:
    listed = next(entry for entry in entries(name) if entry.lists_models)
    assert (await found({"/v1/models": listed.answer(), **GREETINGS.get(name, {})}))[0] == name


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (models("m", server="llama.cpp"), "llama_cpp"),
        (httpx.Response(401, json={"error": {}}, headers={"server": "llama.cpp"}), "llama_cpp"),
        (
            httpx.Response(
                503, json={"error": {"message": "Loading model"}}, headers={"server": "llama.cpp"}
            ),
            "llama_cpp",
        ),
        (httpx.Response(200, json={"data": [{"id": "m", "max_model_len": 5}]}), "vllm"),
        (models("m", owner="llama-cpp-python"), "llama_cpp_python"),
        (models("m", owner="me"), "generic"),
        (httpx.Response(401, json={"error": "Unauthorized"}), "generic"),
        (httpx.Response(200, json="text"), "generic"),
        (httpx.Response(200, text="<html>"), "generic"),
    ],
)
async def test_what_decides(answer: httpx.Response, kind: str) -> None:
    assert (await found({"/v1/models": answer}))[0] == kind


async def test_who_answers_200_to_everything_is_not_believed() -> None:
    anything = httpx.Response(200, json={"error": "Unexpected endpoint or method. (GET /x)"})
    assert (
        await found(
            dict.fromkeys(("/v1/models", "/", "/api/version", "/lmstudio-greeting"), anything)
        )
    )[0] == "generic"


@pytest.mark.parametrize(
    "version",
    [httpx.Response(200, text="<html>"), httpx.Response(200, json=[]), httpx.ReadError("closed")],
)
async def test_what_only_looks_like_ollama(version: Any) -> None:
    assert (await found({**GREETINGS["ollama"], "/api/version": version}))[0] == "generic"


async def test_who_answers_with_a_page_to_everything() -> None:
    page = httpx.Response(200, text="<html>")
    assert (
        await found(dict.fromkeys(("/v1/models", "/", "/api/version", "/lmstudio-greeting"), page))
    )[0] == "generic"


async def test_in_the_world_nothing_is_asked_besides_the_models() -> None:
    kind, behind = await found(GREETINGS["lm_studio"] | GREETINGS["ollama"], WORLD)
    assert (kind, [request.url.path for request in behind.asked]) == ("generic", ["/v1/models"])


async def test_zen_is_never_probed() -> None:
    kind, behind = await found({}, parse("zen"))
    assert (kind, behind.asked) == ("zen", [])


async def kinds(detection: Detection, clock: Clock) -> list[str]:
    """Of four requests, the third a moment later."""
    found: list[str] = []
    for pause in (0, 0, ERROR_TTL, 0):
        clock.now += pause
        found.append((await detection.backend()).kind)
    return found


async def test_a_server_that_is_silent_is_asked_plainly_and_found_out_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind = Backend({"/v1/models": [httpx.ReadTimeout("busy"), models("m", owner="llamacpp")]})
    detection = Detection(KINDS, HttpClient(behind), FixedProvider(HOME), None)
    assert await kinds(detection, Clock(monkeypatch)) == [
        "generic",
        "generic",
        "llama_cpp",
        "llama_cpp",
    ]
    assert len(behind.asked) == 2


async def test_what_is_not_up_yet_is_found_out_when_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Backend(
        {"/v1/models": [httpx.Response(502, text="<html>"), models("m", owner="vllm")]}
    )
    detection = Detection(KINDS, HttpClient(behind), FixedProvider(HOME), None)
    assert await kinds(detection, Clock(monkeypatch)) == ["generic", "generic", "vllm", "vllm"]
    assert len(behind.asked) == 4  # a server at home was looked at more closely


async def test_our_own_requests_have_a_user_agent() -> None:
    _, behind = await found({})
    assert {request.headers["user-agent"] for request in behind.asked} == {"llama-bridge"}


def test_a_configured_kind_takes_precedence() -> None:
    assert kinds_at(parse("zen"), "generic") == (Generic,)
    assert kinds_at(HOME, "zen") == (Zen,)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("llamacpp", "llama_cpp"),
        ("lmstudio", "lm_studio"),
        ("LM Studio", "lm_studio"),
        ("llama-cpp-python", "llama_cpp_python"),
        ("auto", "auto"),
        ("vLLM", "vllm"),
    ],
)
def test_spellings(written: str, kind: str) -> None:
    assert canonical_kind(written) == kind


def test_what_is_no_kind() -> None:
    with pytest.raises(ValueError, match=r"unknown backend kind 'tgi'.* zen, llama_cpp, vllm"):
        canonical_kind("tgi")


async def test_later_callers_wait_for_the_same_result() -> None:
    async def slowly() -> httpx.Response:
        await asyncio.sleep(0.01)
        return models("m", owner="vllm")

    behind = Backend({"/v1/models": lambda _: slowly()})
    detection = Detection(KINDS, HttpClient(behind), FixedProvider(HOME), None)
    first, second = await asyncio.gather(detection.backend(), detection.backend())
    assert first is second
    assert len(behind.asked) == 1


async def test_another_server_at_the_same_address_is_found_out_when_the_first_is_gone() -> None:
    chat = "/v1/chat/completions"

    def answer(_: httpx.Request) -> httpx.Response:
        return stream(*text("hi"), *END)

    behind = Backend({"/v1/models": models("m", owner="vllm"), chat: answer})
    app = create_app(load({"BACKEND_URL": "http://10.0.0.5"}), transport=behind)
    question = {"messages": [{"role": "assistant", "content": "", "reasoning_content": "r"}]}
    assert (await ask(app, chat, question)).status == 200
    behind.on({chat: [httpx.ConnectError("refused"), answer]})
    assert (await ask(app, chat, question)).json["error"]["code"] == "backend_unavailable"
    behind.on(GREETINGS["ollama"] | {"/v1/models": models("n", owner="library")})
    assert (await ask(app, chat, question)).status == 200
    vllm, *_, ollama = behind.questions()
    assert [list(asked["messages"][0])[-1] for asked in (vllm, ollama)] == [
        "reasoning_content",
        "reasoning",
    ]
