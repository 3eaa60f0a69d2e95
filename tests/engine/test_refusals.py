"""A server that somebody else runs: what it refuses reaches the client in our shape, and /health
says why.
"""

import asyncio
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from proxy.app import Bridge
from proxy.llama_server import LaunchSpec
from proxy.llama_server.launch import free_port
from proxy.settings import Settings
from proxy.tiny_model import MODEL
from tests.acceptance.processes import bare_environment, running
from tests.asgi import ask, without_id
from tests.engine.bridges import before, opened, place
from tests.engine.conversation import CALL, question, whole
from tests.patience import HANGS

SECONDS = HANGS


WRONG_KEY = "Invalid API Key (set BACKEND_API_KEY to a key that the backend accepts)"


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize("kind", ["auto", "llama_cpp"])
async def test_a_wrong_key_for_the_server(leaking: Bridge, key: str, kind: str) -> None:
    at = await place(leaking)
    async with opened(before(at, backend_api_key=key, backend_kind=kind)) as named:
        for stream in (True, False):
            # What the client sends is the key of this proxy, if anything: it is not passed on.
            refused = await ask(
                named, body=question(stream=stream), headers=[("authorization", f"Bearer {at.key}")]
            )
            assert refused.status == 401
            assert without_id(refused.json) == {
                "error": {
                    "message": WRONG_KEY,
                    "type": "authentication_error",
                    "param": None,
                    "code": "backend_refused",
                }
            }
        health = await ask(named, "/health")
        assert (health.status, health.json["status"], health.json["reason"]) == (
            503,
            "unavailable",
            WRONG_KEY,
        )
        assert (await ask(named, "/v1/models")).status == 401


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (question(tools=[{"type": "function"}]), "Failed to parse tools: Missing tool function"),
        (question(messages=[{"role": "user", "content": [IMAGE]}]), "image input is not supported"),
        (
            question(
                response_format={"type": "json_schema", "json_schema": {"schema": {"$ref": "#/no"}}}
            ),
            "JSON schema error at #",
        ),
        (question(tools=None, grammar="x"), "failed to parse grammar"),
        (question(reasoning_format="bogus"), "Unknown reasoning format: bogus"),
        (question(temperature="hot"), "Field 'temperature'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_can_never_be_answered_is_a_400(
    leaking: Bridge, asked: dict[str, Any], reason: str, stream: bool
) -> None:
    """llama.cpp says 500 to most of these, and clients ask again for a minute when they read
    that.
    """
    refused = await ask(leaking, body=asked | {"stream": stream})
    assert (refused.status, refused.json["error"]["type"], refused.json["error"]["code"]) == (
        400,
        "invalid_request_error",
        "backend_refused",
    )
    assert reason in refused.json["error"]["message"]


def slow(path: Path) -> Path:
    """The same model, with two million strings in its file that nobody needs: they take half a
    second to read.
    """
    model = MODEL.read_bytes()
    (fields,) = struct.unpack_from("<Q", model, 16)
    strings = 2_000_000
    # Name, list of strings, each of length 0.
    needless = struct.pack("<Q8sIIQ", 8, b"needless", 9, 8, strings) + bytes(8 * strings)
    path.write_bytes(model[:16] + struct.pack("<Q", fields + 1) + needless + model[24:])
    return path


async def test_a_server_that_loads_its_model(tmp_path: Path) -> None:
    """It listens long before it can answer."""
    port = free_port()
    command = LaunchSpec(
        slow(tmp_path / "slow.gguf"), "slow", flags=("--temp", "0", "--threads", "1")
    ).command(port)
    settings = Settings(backend_url=f"http://127.0.0.1:{port}")
    async with opened(settings) as named:
        nobody = await ask(named, body=question())
        assert (nobody.status, nobody.json["error"]["code"]) == (503, "backend_unavailable")
        assert f"cannot connect to http://127.0.0.1:{port}" in nobody.json["error"]["message"]
    # Another one, for which that refusal does not hold for another moment.
    async with opened(settings) as named:
        with running("llama.cpp", command, tmp_path / "log", tmp_path, bare_environment(tmp_path)):
            await _until_it_listens(port)
            for stream in (True, False):
                refused = await ask(named, body=question(stream=stream))
                assert (refused.status, refused.headers["retry-after"]) == (503, "5")
                assert without_id(refused.json)["error"] == {
                    "message": "Loading model",
                    "type": "unavailable_error",
                    "param": None,
                    "code": "model_loading",
                }
            health = await ask(named, "/health")
            assert (health.status, health.json["reason"]) == (503, "Loading model")
            began = time.monotonic()
            while (answer := await ask(named, body=question())).status == 503:
                assert answer.json["error"]["code"] == "model_loading"
                assert time.monotonic() - began < SECONDS
                await asyncio.sleep(0.02)
            assert whole(answer) == CALL


async def _until_it_listens(port: int) -> None:
    began = time.monotonic()
    while not _listens(port):
        assert time.monotonic() - began < SECONDS
        await asyncio.sleep(0.001)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
