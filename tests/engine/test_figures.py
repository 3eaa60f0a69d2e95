"""What the proxy tells of the real server, and what it passes through untouched."""

import json
from typing import Any

import pytest

from proxy.app import Bridge
from proxy.tiny_model import MODEL
from tests.asgi import Call, ask
from tests.engine.bridges import before, child, opened, place
from tests.engine.conversation import CALL, question, whole


async def test_health(leaking: Bridge) -> None:
    at = await place(leaking)
    health = await ask(leaking, "/health")
    assert health.status == 200
    assert health.json["device"]
    assert [model["state"] for model in health.json["models"]] == ["ready"]
    assert {key: value for key, value in health.json.items() if key != "models"} == {
        "status": "ok",
        "backend": "llama_cpp",
        "url": f"{at.url}/v1",
        "model": "tiny-toolcaller",
        "context": 32768,
        "inputs": ["text"],
        "tools": True,
        "device": child(leaking).engine_info.device,
        "reason": None,
        "waiting": [],
    }


async def test_a_named_server_is_recognised(leaking: Bridge) -> None:
    async with opened(before(await place(leaking))) as named:
        assert (
            whole(
                await ask(
                    named, body=question(), headers=[("authorization", "Bearer of the client")]
                )
            )
            == CALL
        )
        health = (await ask(named, "/health")).json
        assert (health["status"], health["backend"], health["model"], health["context"]) == (
            "ok",
            "llama_cpp",
            "tiny-toolcaller",
            32768,
        )
        assert health["device"] is None  # only of our own child do we read the log


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_models(leaking: Bridge, path: str) -> None:
    await place(leaking)
    listed = await ask(leaking, path)
    [model] = listed.json["data"]
    assert model == {
        "id": "tiny-toolcaller",
        "object": "model",
        "created": model["created"],
        "owned_by": "llamacpp",
        "context_length": 32768,
    }
    assert (await ask(leaking, f"{path}/tiny-toolcaller")).json == model
    missing = await ask(leaking, f"{path}/gpt-5")
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")


async def test_what_is_not_ours_is_the_servers(leaking: Bridge) -> None:
    props = await ask(leaking, "/props")
    assert (props.json["model_path"], props.json["total_slots"]) == (str(MODEL), 2)
    assert props.headers["server"] == "llama.cpp"
    assert props.headers["x-request-id"].startswith("req_")
    tokens = (await ask(leaking, "/tokenize", {"content": "Hello"})).json["tokens"]
    assert (await ask(leaking, "/detokenize", {"tokens": tokens})).json["content"] == "Hello"
    assert [slot["id"] for slot in (await ask(leaking, "/slots")).json] == [0, 1]
    assert (await ask(leaking, "/upstream/v1/models")).json["models"][0][
        "name"
    ] == "tiny-toolcaller"
    assert (await ask(leaking, "/upstream/health")).json == {"status": "ok"}


async def test_its_refusals_pass_as_they_are(leaking: Bridge) -> None:
    nothing = await ask(leaking, "/v1/nothing")
    assert (nothing.status, nothing.json) == (
        404,
        {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}},
    )
    assert (await ask(leaking, "/v1/embeddings", {"input": "a"})).status == 501


async def test_completions_are_streamed_through(leaking: Bridge) -> None:
    """A text without an end: it can only be read if it passes while it comes."""
    call = Call(
        leaking,
        "/v1/completions",
        {"prompt": "def ", "stream": True, "ignore_eos": True, "max_tokens": 30_000},
    )
    await call.until(lambda call: call.body.count(b"\n\n") > 20)
    call.hang_up()
    await call.done()
    assert (call.status, call.headers["content-type"], call.complete) == (
        200,
        "text/event-stream",
        False,
    )
    first: Any = json.loads(call.text.split("\n\n")[0].removeprefix("data: "))
    assert (first["object"], first["model"]) == ("text_completion", "tiny-toolcaller")
