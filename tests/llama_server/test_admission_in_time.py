"""Admission and the lives of a child: what waits is no suspect, keeps its model loaded, and goes
to the child of its time.
"""

import asyncio

import pytest

from proxy.errors import KillsModel, Stopping
from proxy.llama_server import Catalogue, Keeper, Launch, Lease, Model
from proxy.llama_server.admission import Reservation
from tests.llama_server.in_time import Fate, Stage, now, perform


def keeper(*models: Model) -> Keeper:
    return Keeper(Catalogue(models, models[0].name), clock=now)


def model(name: str, how: str = "1") -> Model:
    return Model(
        Launch("owner/repo", name, flags=("--x", how)), idle_unload=4, shares_cache=True, cache=1000
    )


async def entered(it: Keeper, mark: str, name: str = "m") -> tuple[Lease, asyncio.Task[None]]:
    lease = it.lease(name, mark=mark)
    task = asyncio.create_task(lease.admit(Reservation()))
    await asyncio.sleep(1.5)
    return lease, task


def test_a_request_that_waits_is_not_suspected_when_the_child_dies() -> None:
    async def act(stage: Stage) -> None:
        async with keeper(model("m")) as it:
            running, _ = await entered(it, "running")
            waiting, admission = await entered(it, "waiting")
            assert running.waits_for is None
            assert waiting.waits_for == (
                "waiting for 1 running request: 1,000 of 1,000 tokens of context are reserved, "
                "and it needs 1,000"
            )
            await stage.until(lambda stage: len(stage.starts) == 2)
            await running.next_life()
            await stage.until(lambda stage: len(stage.starts) == 3)
            with pytest.raises(KillsModel):
                await running.next_life()
            assert not admission.done()
            running.leave()
            await admission
            await waiting.ready()
            waiting.leave()
            with pytest.raises(KillsModel):
                it.lease("m", mark="running")
            again = it.lease("m", mark="waiting")
            await again.ready()
            again.leave()

    perform([Fate(up=0.5, dies=10)], act)


def test_what_waits_keeps_its_model_loaded_and_a_reload_leaves_it_its_child() -> None:
    async def act(stage: Stage) -> None:
        async with keeper(model("m")) as it:
            running, _ = await entered(it, "running")
            waiting, admission = await entered(it, "waiting")
            await asyncio.sleep(100)
            old = running.supervisor
            it.reload(Catalogue((model("m", "2"),), "m"))
            running.answered(10)
            running.leave()
            await admission
            assert waiting.supervisor is old
            waiting.answered()
            waiting.leave()
            again, _ = await entered(it, "again")
            assert again.supervisor is not old
            again.answered()
            again.leave()
            assert len(stage.starts) == 2

    perform([Fate(up=0.5)], act)


def test_what_waits_gives_way_to_the_end() -> None:
    async def act(stage: Stage) -> None:
        it = keeper(model("m"))
        async with it:
            running, _ = await entered(it, "running")
            waiting, admission = await entered(it, "waiting")
        with pytest.raises(Stopping):
            await admission
        waiting.leave()
        running.leave()

    perform([Fate(up=0.5)], act)
