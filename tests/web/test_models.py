"""The model list has the same JSON shape for every kind of backend."""

from typing import Any

import httpx
import pytest

from tests.asgi import Call, ask
from tests.backend import Backend, models
from tests.bridge import bridge


def backend(listed: Any, **headers: str) -> Backend:
    return Backend({"/v1/models": httpx.Response(200, json=listed, headers=headers)})


def model(id: str, created: int = 0, owned_by: str = "unknown", **more: int) -> dict[str, object]:
    return {"id": id, "object": "model", "created": created, "owned_by": owned_by, **more}


def error(call: Call) -> tuple[int, str]:
    return call.status, call.json["error"]["code"]


@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        (
            {
                "object": "list",
                "data": [{"id": "m", "object": "model", "created": 5, "owned_by": "me"}],
            },
            [model("m", 5, "me")],
        ),
        (
            {"data": [{"id": "a", "permission": [], "root": "x"}, {"id": "b", "created": None}]},
            [model("a"), model("b")],
        ),
        ({"data": None}, []),
        ({"data": []}, []),
        ({}, []),
        ([{"id": "m"}], [model("m")]),
        (["m", 5, None], [model("m")]),
        ([], []),
        ("text", []),
        ({"models": [{"name": "m:8b", "model": "m:8b"}]}, [model("m:8b")]),
        ({"data": None, "models": [{"model": "m"}]}, [model("m")]),
        ({"data": [{"id": "m", "meta": {"n_ctx": 4096}}]}, [model("m", context_length=4096)]),
        ({"data": [{"id": "m", "max_model_len": 8192}]}, [model("m", context_length=8192)]),
        ({"data": [{"id": "m", "context_length": 128_000}]}, [model("m", context_length=128_000)]),
        ({"data": [{"id": "m", "meta": None, "max_model_len": "big"}]}, [model("m")]),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_every_list_becomes_one(
    path: str, listed: Any, shown: list[dict[str, object]]
) -> None:
    call = await ask(bridge(backend(listed)), path)
    assert (call.status, call.headers["content-type"]) == (200, "application/json")
    assert call.json == {"object": "list", "data": shown}


@pytest.mark.parametrize("asked", ["org/family/m.gguf", "plain", "short", "mit Leerzeichen"])
@pytest.mark.parametrize("path", ["/v1/models/", "/models/"])
async def test_one_model_by_its_name(path: str, asked: str) -> None:
    listed = [
        {"id": "org/family/m.gguf", "aliases": ["short"], "max_model_len": 10},
        {"id": "plain"},
        {"id": "mit Leerzeichen"},
    ]
    call = await ask(bridge(backend(listed)), path + asked)
    found = {"plain": model("plain"), "mit Leerzeichen": model("mit Leerzeichen")}
    assert (call.status, call.json) == (
        200,
        found.get(asked, model("org/family/m.gguf", context_length=10)),
    )


@pytest.mark.parametrize("asked", ["none", "org", "family/m", ""])
async def test_an_unknown_model(asked: str) -> None:
    call = await ask(bridge(backend(["org/family/m"])), "/v1/models/" + asked)
    assert error(call) == (404, "model_not_found")
    assert call.json["error"]["param"] == "model"
    assert (
        call.json["error"]["message"] == f"unknown model {asked!r}; GET /v1/models lists the models"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/m"])
async def test_models_are_only_read(method: str, path: str) -> None:
    script = backend(["m"])
    call = await ask(bridge(script), path, method=method)
    assert (error(call), call.headers["allow"]) == ((405, "method_not_allowed"), "GET, HEAD")
    assert script.asked == []


async def test_a_head_is_the_get_without_its_body() -> None:
    app = bridge(backend(["m"]))
    get, head = await ask(app, "/v1/models"), await ask(app, "/v1/models", method="HEAD")
    assert (head.status, head.body, head.complete) == (200, b"", True)
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (httpx.ConnectError("refused"), (503, "backend_unavailable")),
        (httpx.Response(503, json={"error": {"message": "Loading model"}}), (503, "model_loading")),
        (httpx.Response(401, json={"error": "no"}), (401, "backend_refused")),
        (httpx.Response(200, text="<html>"), (502, "bad_answer")),
    ],
)
async def test_a_backend_that_lists_nothing_says_why(answer: Any, right: tuple[int, str]) -> None:
    assert error(await ask(bridge(Backend({"/v1/models": answer})), "/v1/models")) == right


async def test_however_many_ask_the_backend_is_asked_once() -> None:
    script = Backend({"/v1/models": models("m")})
    app = bridge(script)
    for _ in range(5):
        assert (await ask(app, "/v1/models")).status == 200
    assert len(script.asked) == 1
