"""Ollama: what it ignores, what it holds, what it refuses."""

from typing import Any

import httpx
import pytest

from proxy.app import create_app
from proxy.backends.address import BackendAddress
from proxy.backends.http import HttpClient
from proxy.backends.ollama import Ollama
from proxy.backends.provider import FixedProvider
from proxy.backends.server_info import BackendInfo
from proxy.chat_request.request import parse
from proxy.errors import BackendRefused
from proxy.settings import load
from tests.asgi import ask
from tests.backend import END, Backend, models, stream

CHAT = "/v1/chat/completions"
LOADED = httpx.Response(
    200, json={"models": [{"name": "a", "model": "a", "context_length": 4096}, {"name": "b"}]}
)


def ollama(
    answers: dict[str, Any] | None = None, address: str = "http://10.0.0.5/v1"
) -> tuple[Ollama, Backend]:
    behind = Backend(
        {"/v1/models": models("a", "b", "c"), "/api/ps": LOADED, CHAT: stream(), **(answers or {})}
    )
    return Ollama(HttpClient(behind), FixedProvider(BackendAddress(address))), behind


async def test_a_loaded_model_reports_its_context() -> None:
    backend, _ = ollama()
    assert [(model.id, model.loaded, model.context) for model in await backend.models()] == [
        ("a", True, 4096),
        ("b", True, None),
        ("c", False, None),
    ]


@pytest.mark.parametrize(
    "nothing", [httpx.Response(404, text="404 page not found"), httpx.ReadTimeout("busy")]
)
async def test_what_it_does_not_tell_is_not_known(nothing: Any) -> None:
    backend, _ = ollama({"/api/ps": nothing})
    assert not any(model.loaded for model in await backend.models())


async def test_in_the_world_its_own_paths_are_not_asked() -> None:
    backend, behind = ollama(address="https://ollama.example.com/v1")
    await backend.models()
    assert [request.url.path for request in behind.asked] == ["/v1/models"]


@pytest.mark.parametrize(
    ("shown", "context"),
    [
        (
            {
                "parameters": 'stop "<x>"\nnum_ctx                        8192',
                "model_info": {"qwen3.context_length": 262144},
            },
            8192,
        ),
        ({"parameters": "num_ctx many"}, None),
        ({"model_info": {}}, None),
        ([], None),
    ],
)
async def test_the_model_s_own_file_may_tell_more(shown: Any, context: int | None) -> None:
    backend, behind = ollama(
        {"/v1/models": models("c"), "/api/show": httpx.Response(200, json=shown)}
    )
    assert await backend.describe() == BackendInfo("c", context)
    assert behind.bodies[-1] == b'{"model":"c"}'


async def test_a_context_that_is_known_is_not_asked_for() -> None:
    backend, _ = ollama({"/v1/models": models("a")})
    assert await backend.describe() == BackendInfo("a", 4096)
    assert await ollama({"/api/ps": httpx.Response(404)})[0].describe() == BackendInfo()


async def test_a_model_that_does_not_think_is_asked_without() -> None:
    refusal = httpx.Response(400, json={"error": {"message": '"a" does not support thinking'}})
    backend, behind = ollama({CHAT: [refusal, stream(), stream()]})
    for _ in range(2):
        await backend.send_chat(
            parse(b'{"model": "a", "messages": [], "reasoning_effort": "high"}'), []
        )
    # Another model may think.
    assert ["reasoning_effort" in asked for asked in behind.questions()] == [True, False, True]


async def test_a_refusal_that_nothing_can_be_left_out_for() -> None:
    backend, behind = ollama(
        {CHAT: httpx.Response(400, json={"error": {"message": '"a" does not support thinking'}})}
    )
    with pytest.raises(BackendRefused, match="thinking"):
        await backend.send_chat(parse(b'{"model": "a", "messages": []}'), [])
    assert len(behind.questions()) == 1  # the same question again has the same answer


def test_ignored_fields_are_reported() -> None:
    backend, _ = ollama()
    ignored = parse(b'{"messages": [], "tool_choice": "required", "n": 2, "temperature": 1}')
    assert backend.warning_for(ignored) == "ollama ignores n, tool_choice"
    for kept in (b'"tool_choice": "auto"', b'"tool_choice": "none"', b'"n": 1'):
        assert backend.warning_for(parse(b'{"messages": [], %s}' % kept)) == ""


async def test_a_prompt_that_will_be_cut_is_reported() -> None:
    backend, _ = ollama()
    long = parse(b'{"messages": [{"role": "user", "content": "%s"}]}' % (b"word " * 4000))
    assert backend.warning_for(long) == ""
    await backend.models()
    assert backend.warning_for(long) == (
        "ollama has a context of 4,096 tokens and silently cuts longer prompts; "
        "set OLLAMA_CONTEXT_LENGTH to raise it"
    )
    assert backend.warning_for(parse(b'{"messages": []}')) == ""


async def test_what_the_model_that_is_asked_holds_counts() -> None:
    loaded = [{"name": "a", "context_length": 4096}, {"name": "b", "context_length": 32768}]
    backend, _ = ollama({"/api/ps": httpx.Response(200, json={"models": loaded})})
    await backend.models()
    long = b'{"model": "%s", "messages": [{"role": "user", "content": "%s"}]}'
    assert [
        "cuts" in backend.warning_for(parse(long % (name, b"word " * 4000)))
        for name in (b"a", b"b", b"c")
    ] == [True, False, False]


async def test_what_is_loaded_by_the_first_question_is_seen_at_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend, behind = ollama({"/api/ps": [httpx.Response(200, json={"models": []}), LOADED]})
    clock = iter(range(100, 200, 2))
    monkeypatch.setattr("proxy.backends.base.time.monotonic", lambda: float(next(clock)))
    assert [[model.loaded for model in await backend.models()] for _ in range(3)] == [
        [False] * 3,
        [True, True, False],
        [True, True, False],
    ]
    assert len([request for request in behind.asked if request.url.path == "/api/ps"]) == 2


async def test_the_request_in_the_form_of_the_server() -> None:
    backend, behind = ollama()
    said = (
        b'{"model": "a", "max_completion_tokens": 9, "tool_choice": "none", "tools": '
        b'[{"function": {"name": "f"}}], "messages": ['
        b'{"role": "assistant", "content": null, "reasoning_content": "r"},'
        b'{"role": "tool", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": '
        b'"y"}]}]}'
    )
    await backend.send_chat(parse(said), [])
    asked = behind.questions()[0]
    assert asked["messages"] == [
        {"role": "assistant", "content": "", "reasoning": "r"},
        {"role": "tool", "content": "x\ny"},
    ]
    assert (asked["max_tokens"], "max_completion_tokens" in asked, "tools" in asked) == (
        9,
        False,
        False,
    )


async def test_the_log_line_names_ignored_fields(caplog: pytest.LogCaptureFixture) -> None:
    behind = Backend({"/v1/models": models("a"), CHAT: stream(*END)})
    app = create_app(
        load({"BACKEND_URL": "http://10.0.0.5", "BACKEND_KIND": "ollama"}), transport=behind
    )
    with caplog.at_level("INFO"):
        await ask(app, CHAT, {"messages": [], "n": 2, "top_k": 4})
    assert caplog.messages[-1].endswith("| ollama ignores n, top_k")


@pytest.mark.parametrize(
    ("shown", "inputs"),
    [
        ({"capabilities": ["completion", "vision"]}, ("text", "image")),
        ({"capabilities": ["completion", "tools"]}, ("text",)),
        ({"capabilities": 5}, None),
        ({}, None),
    ],
)
async def test_whether_a_model_sees_is_asked_once(shown: Any, inputs: Any) -> None:
    held = httpx.Response(200, json={"models": [{"name": "c", "context_length": 4096}]})
    backend, behind = ollama(
        {"/v1/models": models("c"), "/api/ps": held, "/api/show": httpx.Response(200, json=shown)}
    )
    assert [await backend.describe() for _ in range(2)] == [
        BackendInfo("c", 4096, inputs=inputs)
    ] * 2
    assert [request.url.path for request in behind.asked].count("/api/show") == 1
