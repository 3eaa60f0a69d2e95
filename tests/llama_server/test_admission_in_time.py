"""Admission and the lives of a child: what waits is no suspect, keeps its model loaded, and goes
to the child of its time.
"""

import asyncio

import pytest

from proxy.errors import CrashesModel, ShuttingDown
from proxy.llama_server import Catalog, LaunchSpec, Lease, ModelConfig, ModelPool
from proxy.llama_server.admission import Reservation
from tests.llama_server.in_time import Fate, Stage, now, perform


def keeper(*models: ModelConfig) -> ModelPool:
    return ModelPool(Catalog(models, models[0].name), clock=now)


def model(name: str, how: str = "1") -> ModelConfig:
    return ModelConfig(
        LaunchSpec("owner/repo", name, flags=("--x", how)),
        idle_unload=4,
        shares_cache=True,
        cache=1000,
    )


async def entered(it: ModelPool, mark: str, name: str = "m") -> tuple[Lease, asyncio.Task[None]]:
    lease = it.lease(name, fingerprint=mark)
    task = asyncio.create_task(lease.admit(Reservation()))
    await asyncio.sleep(1.5)
    return lease, task


def test_a_request_that_waits_is_not_suspected_when_the_child_dies() -> None:
    async def act(stage: Stage) -> None:
        async with keeper(model("m")) as it:
            running, _ = await entered(it, "running")
            waiting, admission = await entered(it, "waiting")
            assert running.waiting_reason is None
            assert waiting.waiting_reason == (
                "waiting for 1 running request: 1,000 of 1,000 tokens of context are reserved, "
                "and it needs 1,000"
            )
            await stage.until(lambda stage: len(stage.starts) == 2)
            await running.wait_for_restart()
            await stage.until(lambda stage: len(stage.starts) == 3)
            with pytest.raises(CrashesModel):
                await running.wait_for_restart()
            assert not admission.done()
            running.release()
            await admission
            await waiting.ready()
            waiting.release()
            with pytest.raises(CrashesModel):
                it.lease("m", fingerprint="running")
            again = it.lease("m", fingerprint="waiting")
            await again.ready()
            again.release()

    perform([Fate(up=0.5, dies=10)], act)


def test_what_waits_keeps_its_model_loaded_and_a_reload_leaves_it_its_child() -> None:
    async def act(stage: Stage) -> None:
        async with keeper(model("m")) as it:
            running, _ = await entered(it, "running")
            waiting, admission = await entered(it, "waiting")
            await asyncio.sleep(100)
            old = running.supervisor
            it.reload(Catalog((model("m", "2"),), "m"))
            running.record_answer(10)
            running.release()
            await admission
            assert waiting.supervisor is old
            waiting.record_answer()
            waiting.release()
            again, _ = await entered(it, "again")
            assert again.supervisor is not old
            again.record_answer()
            again.release()
            assert len(stage.starts) == 2

    perform([Fate(up=0.5)], act)


def test_what_waits_gives_way_to_the_end() -> None:
    async def act(stage: Stage) -> None:
        it = keeper(model("m"))
        async with it:
            running, _ = await entered(it, "running")
            waiting, admission = await entered(it, "waiting")
        with pytest.raises(ShuttingDown):
            await admission
        waiting.release()
        running.release()

    perform([Fate(up=0.5)], act)
