"""A request that only looks (GET, HEAD, OPTIONS) loads no model of ours, whatever state the
models are in.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.app import Bridge
from proxy.errors import ModelLoading, ModelUnloaded
from proxy.llama_server import ProcessState
from tests.asgi import Call, ask
from tests.lifespan import Lifespan, keeper, pair
from tests.patience import until
from tests.process.conftest import FAST
from tests.process.fake_server import starts

PATHS = ("/metrics", "/slots", "/props", "/upstream/v1/models", "/upstream")


def states(app: Bridge) -> set[str]:
    return {keeper(app).supervisor(model.name).state.value for model in keeper(app).models}


async def asleep(app: Bridge) -> None:
    await keeper(app).wait_loaded()
    await until(app.app_state.provider.is_unloaded)


async def test_when_nothing_is_loaded_health_says_so_and_loads_nothing(tmp_path: Path) -> None:
    app = pair(tmp_path, "idle-unload = 0.0005")
    async with Lifespan(app):
        await keeper(app).wait_loaded()
        await until(app.app_state.provider.is_unloaded)
        told = (await ask(app, "/health")).json
        assert (told["status"], told["model"], told["context"]) == ("ok", "one", 4096)
        assert told["reason"] == "unloaded; the next request loads it"
        assert {model["state"] for model in told["models"]} == {"stopped"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_look_at_a_model_that_is_not_loaded_loads_it_not(
    tmp_path: Path, method: str
) -> None:
    app = pair(tmp_path, "idle-unload = 0.0005")
    async with Lifespan(app):
        await asleep(app)
        before = len(starts(tmp_path / "llama-server"))
        for path in PATHS:
            for body in (None, b'{"model": "two"}'):
                call = await ask(app, path, body, method=method)
                assert call.status == 503
                if method != "HEAD":
                    assert call.json["error"]["code"] == "model_unloaded"
                    assert call.json["error"]["message"] == (
                        "no model is loaded, and a GET does not load one; "
                        "the next chat request loads one"
                    )
        await asyncio.sleep(0.05)
        assert app.app_state.provider.is_unloaded()
        assert len(starts(tmp_path / "llama-server")) == before


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_post_loads_it(tmp_path: Path, body: bytes) -> None:
    app = pair(tmp_path, "idle-unload = 0.0005")
    async with Lifespan(app):
        await asleep(app)
        before = len(starts(tmp_path / "llama-server"))
        assert (
            await ask(
                app,
                "/completion",
                body,
                method="POST",
                headers=[("content-length", "0")] * (not body),
            )
        ).status == 200
        assert len(starts(tmp_path / "llama-server")) == before + 1


async def test_a_look_waits_for_the_model_that_comes_and_brings_no_other(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        await keeper(app).wait_loaded()
        wanted = Call(app, "/completion", b'{"model": "two"}')
        await until(lambda: keeper(app).supervisor("one").state is ProcessState.STOPPED)
        look = Call(app, "/props")
        assert (await look.done()).json["model_alias"] == "two"
        assert (await wanted.done()).status == 200
        assert keeper(app).supervisor("one").state is ProcessState.STOPPED


async def test_a_look_at_a_model_that_cannot_be_started_does_not_try_it_again(
    tmp_path: Path,
) -> None:
    app = pair(tmp_path, exits=1)
    for model in keeper(app).models:
        keeper(app).supervisor(model.name).timeouts = FAST
    async with Lifespan(app):
        await keeper(app).wait_loaded()
        assert states(app) == {"failed", "stopped"}
        # Now a request may try it once more.
        await until(lambda: not keeper(app).supervisor("one").is_failed)
        before = len(starts(tmp_path / "llama-server"))
        call = await ask(app, "/metrics")
        assert (call.status, call.json["error"]["code"]) == (503, "child_failed")
        assert "our llama-server has failed: ended with code 1" in call.json["error"]["message"]
        assert len(starts(tmp_path / "llama-server")) == before


async def test_a_look_that_meets_the_end_of_the_model_loads_it_not(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        at = await app.app_state.provider.address()
        stopping = asyncio.create_task(keeper(app).supervisor("one").stop())
        with pytest.raises(ModelUnloaded):
            await app.app_state.provider.failover(at)
        await stopping
        assert states(app) == {"stopped"}


async def test_a_look_waits_no_longer_than_any_request(tmp_path: Path) -> None:
    app = pair(tmp_path, hangs=True)
    keeper(app).supervisor("one").timeouts = replace(FAST, wait=0.05)
    async with Lifespan(app):
        with pytest.raises(ModelLoading, match="our llama-server is starting"):
            await app.app_state.provider.address()
