"""`/health` reports what a request would get now, and why."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from proxy.llama_server import ProcessState, Supervisor
from proxy.web import health
from tests.asgi import Call, ask
from tests.backend import Backend, models
from tests.bridge import bridge
from tests.clock import Clock

LOADING = httpx.Response(
    503, json={"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
)
PROPS = {
    "model_alias": "qwen",
    "default_generation_settings": {"n_ctx": 4096},
    "chat_template_caps": {"supports_tools": True},
    "modalities": {"vision": True, "audio": False},
}
NOTHING: dict[str, Any] = {
    "inputs": None,
    "backend": None,
    "url": None,
    "model": None,
    "context": None,
    "tools": None,
    "device": None,
    "waiting": [],
}


def llama_cpp(props: Any = None) -> Backend:
    answer = props if props is not None else httpx.Response(200, json=PROPS)
    return Backend({"/v1/models": models("m", server="llama.cpp"), "/props": answer})


@pytest.mark.parametrize("path", ["/health", "/"])
async def test_what_answers_and_how_it_describes_itself(path: str) -> None:
    call = await ask(bridge(llama_cpp(), backend_kind="auto"), path)
    assert (call.status, call.headers["content-type"], call.headers["cache-control"]) == (
        200,
        "application/json",
        "no-store",
    )
    told = {
        name: value for name, value in call.json.items() if name not in ("live", "last", "connect")
    }
    assert told == {
        "status": "ok",
        "backend": "llama_cpp",
        "url": "http://10.0.0.5:1/v1",
        "model": "qwen",
        "context": 4096,
        "inputs": ["text", "image"],
        "tools": True,
        "device": None,
        "reason": None,
        "waiting": [],
    }


async def test_a_server_that_reports_little() -> None:
    listed = httpx.Response(200, json=[{"id": "m", "max_model_len": 99}])
    told = (await ask(bridge(Backend({"/v1/models": listed})), "/health")).json
    assert (told["status"], told["backend"], told["model"], told["context"], told["tools"]) == (
        "ok",
        "generic",
        "m",
        99,
        None,
    )
    assert (await ask(bridge(Backend({"/v1/models": models("a", "b")})), "/health")).json[
        "model"
    ] is None
    assert (
        await ask(bridge(Backend({"/v1/models": models("a", "b")}), backend_model="b"), "/health")
    ).json["model"] == "b"


async def test_a_public_llama_cpp_gets_no_requests_outside_its_api() -> None:
    script = Backend({"/v1/models": models("m", server="llama.cpp")})
    told = (
        await ask(
            bridge(script, backend_url="https://llm.example.com", backend_kind="auto"), "/health"
        )
    ).json
    assert (told["status"], told["backend"], told["model"]) == ("ok", "llama_cpp", "m")
    assert {request.url.path for request in script.asked} == {"/v1/models"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            Backend({"/v1/models": httpx.ConnectError("refused")}),
            "cannot connect to http://10.0.0.5:1; check that the backend is running",
        ),
        (
            Backend({"/v1/models": httpx.ReadTimeout("slow")}),
            "http://10.0.0.5:1 sent nothing for 2 seconds",
        ),
        (Backend({"/v1/models": LOADING}), "Loading model"),
        (llama_cpp(LOADING), "Loading model"),
        (
            Backend(
                {"/v1/models": httpx.Response(401, json={"error": {"message": "Invalid API Key"}})}
            ),
            "Invalid API Key",
        ),
        (
            Backend({"/v1/models": httpx.Response(200, text="<html>")}),
            "the backend's response is not JSON",
        ),
        (
            llama_cpp(httpx.Response(200, json=[])),
            "the backend claims to be llama.cpp, but GET /props is not a JSON object",
        ),
    ],
)
async def test_why_no_request_would_be_served(script: Backend, reason: str) -> None:
    call = await ask(bridge(script, backend_kind="auto"), "/health")
    told = call.json
    assert told.pop("reason").startswith(reason)
    assert (call.status, told) == (503, {"status": "unavailable", **NOTHING})


async def test_a_head_request_gets_the_status() -> None:
    call = await ask(bridge(Backend({"/v1/models": LOADING})), "/health", method="HEAD")
    assert (call.status, call.body, call.complete) == (503, b"", True)


async def test_a_backend_is_found_when_it_comes_and_missed_when_it_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = httpx.ConnectError("refused")
    script = Backend(
        {
            "/v1/models": [
                refused,
                models("m"),
                models("m"),
                refused,
                models("m", server="llama.cpp"),
            ]
        }
    )
    script.on({"/props": httpx.Response(200, json=PROPS)})
    app, clock, told = bridge(script, backend_kind="auto"), Clock(monkeypatch), []
    for _ in range(4):
        told.append((await ask(app, "/health")).json["backend"])
        clock.now += 1
    assert told == [None, "generic", None, "llama_cpp"]


async def test_however_many_ask_the_backend_is_asked_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: now))
    gate = asyncio.Event()

    async def slow() -> httpx.Response:
        await gate.wait()
        return models("m")

    script = Backend({"/v1/models": lambda _: slow()})
    app = bridge(script)
    calls = [Call(app, path) for path in ("/health", "/") * 10]
    await asyncio.sleep(0.01)
    gate.set()
    assert [(await call.done()).status for call in calls] == [200] * 20
    assert len(script.asked) == 1
    now += 0.9
    await ask(app, "/health")
    assert len(script.asked) == 1
    now += 0.1
    await ask(app, "/health")
    assert len(script.asked) == 2


async def test_a_cancelled_wait_delays_no_other() -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slow() -> httpx.Response:
        asked.set()
        await gate.wait()
        return models("m")

    script = Backend({"/v1/models": lambda _: slow()})
    app = bridge(script)
    first = Call(app, "/health")
    await asked.wait()
    second = Call(app, "/health")
    await asyncio.sleep(0)
    first.task.cancel()
    await asyncio.wait({first.task})
    gate.set()
    assert (await second.done()).status == 200
    assert len(script.asked) == 1  # the refresh that the first client started served the second


@pytest.mark.parametrize(
    ("state", "why", "reason"),
    [
        (ProcessState.STARTING, "", "our llama-server is starting"),
        (
            ProcessState.STARTING,
            "killed by SIGKILL",
            "our llama-server is starting again: killed by SIGKILL",
        ),
        (ProcessState.STOPPED, "", "our llama-server is stopped"),
        (
            ProcessState.BACKOFF,
            "killed by SIGSEGV",
            "our llama-server is resting: killed by SIGSEGV",
        ),
        (
            ProcessState.FAILED,
            "out of GPU memory",
            "our llama-server has failed: out of GPU memory",
        ),
    ],
)
async def test_a_child_of_ours_that_is_not_ready(
    state: ProcessState, why: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Backend()
    app = bridge(script, backend_url="local", backend_kind="auto")
    monkeypatch.setattr(Supervisor, "state", state)
    monkeypatch.setattr(Supervisor, "reason", why)
    call = await ask(app, "/health")
    told = call.json
    assert [model["state"] for model in told.pop("models")] == [state.value]
    assert (call.status, told) == (503, {"status": "unavailable", **NOTHING, "reason": reason})
    assert script.asked == []


@pytest.mark.parametrize(
    ("path", "key", "lines"),
    [
        ("/health", "", None),
        ("/health", "wrong", None),
        ("/health", "secret", 2),
        ("/", "secret", 2),
    ],
)
async def test_without_the_key_only_the_status_is_shown(
    path: str, key: str, lines: int | None
) -> None:
    error = httpx.Response(503, json={"error": {"message": "it failed\nthe last lines of its log"}})
    app = bridge(Backend({"/v1/models": error}), proxy_api_keys="secret")
    told = (await ask(app, path, headers=[("x-api-key", key)])).json
    if lines is None:
        assert told == {"status": "unavailable"}
    else:
        assert told["reason"].splitlines() == ["it failed", "the last lines of its log"][:lines]
