"""The pool of models in rare moments, on a clock that only waiting moves."""

import asyncio

import pytest

from proxy.errors import ModelNotFound
from proxy.llama_server import Catalog, LaunchSpec, ModelConfig, ModelPool
from tests.llama_server.in_time import Fate, Stage, now, perform


def catalog(*names: str) -> Catalog:
    models = [ModelConfig(LaunchSpec("owner/repo", name), preload=name == "a") for name in names]
    return Catalog(tuple(models), "a", models_max=1)


def test_a_model_that_is_removed_while_another_is_stopped_for_it_is_not_started() -> None:
    async def act(_: Stage) -> None:
        async with ModelPool(catalog("a", "b"), clock=now) as pool:
            await pool.wait_loaded()
            lease = pool.lease("b")
            waiting = asyncio.create_task(lease.ready())
            await asyncio.sleep(0.1)  # `a` takes 0.3 s to stop
            pool.reload(catalog("a"))
            with pytest.raises(ModelNotFound):
                await waiting
            lease.release()
            await asyncio.sleep(1)

    stage, _ = perform([Fate(ending=0.3)], act)
    assert len(stage.starts) == 1
