"""The keeper with real processes: who is loaded, who waits, who goes; never two where there is
room for one.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ChildFailed, CrashesModel, ModelLoading, ModelNotFound, ShuttingDown
from proxy.llama_server import (
    Catalog,
    LaunchSpec,
    Lease,
    ModelConfig,
    ModelPool,
    ProcessState,
    Timeouts,
    pool,
)
from tests.patience import until
from tests.process.conftest import FAST, alive, nothing_left
from tests.process.fake_server import Conduct, starts


class Stable:
    """Models whose server does as it is told; each has its own program, so that its starts can
    be counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def engine(self, name: str) -> Path:
        return self.path / f"{name}-server"

    def model(
        self,
        name: str,
        *,
        flags: tuple[str, ...] = (),
        conduct: dict[str, Any] | None = None,
        **more: Any,
    ) -> ModelConfig:
        engine = Conduct(**(conduct or {})).script(self.engine(name))
        (self.path / f"{name}.gguf").touch()
        return ModelConfig(
            LaunchSpec(self.path / f"{name}.gguf", name, engine, ("--ctx-size", "4096", *flags)),
            **more,
        )

    def keeper(
        self,
        *models: ModelConfig,
        timings: Timeouts = FAST,
        clock: Callable[[], float] | None = None,
        **rules: Any,
    ) -> ModelPool:
        catalogue = Catalog(models, models[0].name, **rules)
        return ModelPool(catalogue, timeouts=timings, **({"clock": clock} if clock else {}))

    def started(self, name: str) -> int:
        return len(starts(self.engine(name)))


@pytest.fixture
def stable(tmp_path: Path) -> Stable:
    return Stable(tmp_path)


def states(it: ModelPool) -> dict[str, str]:
    return {model.name: it.supervisor(model.name).state.value for model in it.models}


async def used(it: ModelPool, name: str | None, **more: Any) -> str:
    """One request from its arrival to its answer; the name of the model that gave it."""
    lease = it.lease(name, **more)
    try:
        await lease.ready()
        lease.record_answer()
        return lease.model.name
    finally:
        lease.release()


async def test_the_default_is_loaded_at_the_start_and_another_one_takes_its_place(
    stable: Stable,
) -> None:
    async with stable.keeper(stable.model("a"), stable.model("b")) as it:
        await it.wait_loaded()
        assert states(it) == {"a": "ready", "b": "stopped"}
        group = it.supervisor("a").process_group
        assert await used(it, "b") == "b"
        assert states(it) == {"a": "stopped", "b": "ready"}
        assert alive(group) == []
        assert it.ready_supervisor() is it.supervisor("b")
        groups = [it.supervisor(name).process_group for name in "ab"]
    assert states(it) == {"a": "stopped", "b": "stopped"}
    assert it.ready_supervisor() is None
    for group in groups:
        await nothing_left(group)
    with pytest.raises(ShuttingDown):
        await used(it, "a")


async def test_what_is_preloaded_and_what_a_group_keeps_together(stable: Stable) -> None:
    models = [
        stable.model("a", preload=True, group="g"),
        stable.model("b", preload=True, group="g"),
        stable.model("c"),
    ]
    async with stable.keeper(*models) as it:
        await it.wait_loaded()
        assert states(it) == {"a": "ready", "b": "ready", "c": "stopped"}
        await used(it, "c")
        assert states(it) == {"a": "stopped", "b": "stopped", "c": "ready"}


async def test_a_swap_waits_for_the_running_answer_and_later_requests_do_not_overtake(
    stable: Stable,
) -> None:
    async with stable.keeper(stable.model("a"), stable.model("b")) as it:
        running = it.lease("a")
        it.lease("a").release()  # it has never asked for anything
        assert await running.ready() == await running.ready()
        assert it.supervisor("a")._busy()
        assert not it.supervisor("b")._busy()
        order: list[str] = []

        async def request(name: str) -> None:
            order.append(await used(it, name))

        other = asyncio.create_task(request("b"))
        await until(lambda: it._scheduler.waiting)
        late = asyncio.create_task(request("a"))
        await until(lambda: len(it._scheduler.waiting) == 2)
        assert states(it) == {"a": "ready", "b": "stopped"}
        running.release()
        await asyncio.gather(other, late)
        assert order == ["b", "a"]
        assert (stable.started("a"), stable.started("b")) == (2, 1)


async def test_a_reload_gives_waiting_requests_the_new_process_and_fails_removed_models(
    stable: Stable,
) -> None:
    a, b, c = (stable.model(name) for name in "abc")
    changed = stable.model("b", flags=("--temp", "1"))
    async with stable.keeper(a, b, c) as it:
        running, waiting, late = it.lease("a"), it.lease("b"), it.lease("c")
        await running.ready()
        asked = asyncio.create_task(waiting.ready())
        await until(lambda: it._scheduler.waiting)
        assert it.reload(Catalog((a, changed), "a")) == ["b", "c"]
        with pytest.raises(ModelNotFound, match="model 'c' was removed from the configuration"):
            await late.ready()
        running.release()
        await asked
        assert waiting.supervisor is it.supervisor("b")
        assert waiting.model is changed
        waiting.release()
        assert stable.started("b") == 1


async def test_what_still_loads_when_it_is_taken_out_leaves_at_once(stable: Stable) -> None:
    a, slow = stable.model("a"), stable.model("slow", conduct={"hangs": True})
    async with stable.keeper(slow, a) as it:
        await until(lambda: stable.started("slow"))
        group = it.supervisor("slow").process_group
        it.reload(Catalog((a,), "a"))
        assert await used(it, "a") == "a"
        assert alive(group) == []


async def test_waiting_for_others_is_bounded_and_a_disconnect_is_noticed(stable: Stable) -> None:
    async with stable.keeper(stable.model("a"), stable.model("b")) as it:
        running = it.lease("a")
        await running.ready()
        it.supervisor("b").timeouts = Timeouts(wait=0.05)
        with pytest.raises(
            ModelLoading, match=r"b was not available within 0\.05 s: other models are in use"
        ):
            await used(it, "b")
        assert not it._scheduler.waiting
        running.release()
        running.release()
        assert await used(it, "a") == "a"
        assert stable.started("b") == 0


async def test_a_model_that_fails_fails_its_waiting_requests_only(
    stable: Stable,
) -> None:
    broken = stable.model("b", conduct={"exits": 1, "says": ["cudaMalloc failed: out of memory"]})
    async with stable.keeper(stable.model("a"), broken, timings=replace(FAST, failed=600)) as it:
        failures = await asyncio.gather(*(used(it, "b") for _ in range(3)), return_exceptions=True)
        assert {type(failure) for failure in failures} == {ChildFailed}
        assert stable.started("b") == 3
        assert await used(it, "a") == "a"
        with pytest.raises(ChildFailed, match="out of GPU memory"):
            await used(it, "b")  # at once: nobody is sent away for it
        assert states(it) == {"a": "ready", "b": "failed"}


async def test_a_default_model_that_fails_is_logged(
    stable: Stable, caplog: pytest.LogCaptureFixture
) -> None:
    async with stable.keeper(stable.model("a", conduct={"exits": 1})) as it:
        await it.wait_loaded()
    assert "a could not be started: ended with code 1" in caplog.text


async def test_a_load_that_takes_longer_than_a_request_waits_goes_on(stable: Stable) -> None:
    async with stable.keeper(
        stable.model("a", conduct={"hangs": True, "misbehaves": 1}),
        timings=Timeouts(wait=0.2, load=1),
    ) as it:
        with pytest.raises(
            ModelLoading, match=r"a was not available within 0\.2 s: it is still starting"
        ):
            await used(it, "a")
        await until(lambda: it.supervisor("a").state is ProcessState.READY)
        assert await used(it, "a") == "a"


async def test_an_idle_model_is_unloaded_and_loaded_again_on_request(
    stable: Stable,
) -> None:
    async with stable.keeper(stable.model("a", idle_unload=0.05)) as it:
        await it.wait_loaded()
        await until(lambda: states(it) == {"a": "stopped"})
        assert await used(it, "a") == "a"
        assert stable.started("a") == 2


async def test_names(stable: Stable) -> None:
    it = stable.keeper(stable.model("a", aliases=("x", "y")), stable.model("b"))
    assert [it.resolve(name).name for name in ("a", "y", "b", None)] == ["a", "a", "b", "a"]
    assert it.resolve("unknown", "x").name == "a"
    with pytest.raises(
        ModelNotFound,
        match=r"unknown model 'unknown'; use one of these, or set BACKEND_MODEL to one: a, b",
    ):
        it.resolve("unknown")
    async with it:
        assert await used(it, "b") == "b"
        assert it.resolve("unknown").name == it.resolve(None).name == "b"
    assert stable.keeper(stable.model("c")).resolve("unknown").name == "c"


async def test_an_auxiliary_request_is_answered_by_the_active_model(
    stable: Stable,
) -> None:
    now = 1000.0
    async with stable.keeper(stable.model("a"), stable.model("b"), clock=lambda: now) as it:
        work = it.lease("a", tools=True)
        await work.ready()
        assert await used(it, "b", auxiliary=True) == "a"
        work.release()
        assert await used(it, "b", auxiliary=True) == "a"
        now += 1000
        assert await used(it, "b", auxiliary=True) == "b"
        assert await used(it, "b", auxiliary=True) == "b"
    async with stable.keeper(stable.model("a"), stable.model("b"), side_requests="swap") as it:
        assert await used(it, "a", tools=True) == "a"
        assert await used(it, "b", auxiliary=True) == "b"


async def kill(lease: Lease, by: int = signal.SIGKILL) -> None:
    assert lease.supervisor.pid
    os.kill(lease.supervisor.pid, by)


async def test_a_request_that_crashes_its_model_twice_is_refused_and_others_are_not(
    stable: Stable,
) -> None:
    async with stable.keeper(stable.model("a")) as it:
        lease, innocent = it.lease("a", fingerprint="killer"), it.lease("a", fingerprint="innocent")
        address = await lease.ready()
        await innocent.ready()
        innocent.record_answer()
        innocent.release()
        await kill(lease, signal.SIGABRT)
        again = await lease.await_replacement(address.url)
        assert again != address
        await kill(lease, signal.SIGABRT)
        with pytest.raises(CrashesModel, match="crashed 2 times on this request alone"):
            await lease.await_replacement(again.url)
        lease.release()
        with pytest.raises(CrashesModel):
            it.lease("a", fingerprint="killer")
        assert await used(it, "a", fingerprint="innocent") == "a"
        await used(it, "a")


async def test_a_reload_leaves_alone_what_did_not_change(stable: Stable) -> None:
    a, b, c = stable.model("a"), stable.model("b"), stable.model("c")
    async with stable.keeper(a, b, models_max=2) as it:
        await used(it, "a")
        await used(it, "b")
        pids = [it.supervisor(name).pid for name in "ab"]
        running = it.lease("b")
        address = await running.ready()
        changed = stable.model("b", flags=("--temp", "0"))
        assert it.reload(Catalog((replace(a, aliases=("x",)), changed, c), "a", 2)) == [
            "a",
            "b",
            "c",
        ]
        assert await used(it, "x") == "a"
        assert it.supervisor("a").pid == pids[0]
        assert running.supervisor.address == address  # it finishes what it began
        assert alive(running.supervisor.process_group)
        waiting = asyncio.create_task(used(it, "b"))
        await until(lambda: any(ticket.model == "b" for ticket in it._scheduler.waiting))
        assert it.supervisor("b").pid is None
        running.release()
        assert await waiting == "b"
        assert running.supervisor.state is ProcessState.STOPPED
        assert it.supervisor("b").pid not in (None, *pids)


async def test_a_reload_takes_models_away(stable: Stable) -> None:
    a, b = stable.model("a"), stable.model("b")
    async with stable.keeper(a, b) as it:
        running, unused = it.lease("a"), it.lease("a")
        await running.ready()
        waiting = asyncio.create_task(used(it, "b"))
        await until(lambda: it._scheduler.waiting)
        assert it.reload(Catalog((stable.model("a", flags=("--temp", "1")),), "a")) == ["a", "b"]
        with pytest.raises(ModelNotFound, match="model 'b' was removed from the configuration"):
            await waiting
        again = asyncio.create_task(unused.ready())  # made before the reload, asked for after it
        running.release()
        await again
        assert unused.supervisor is it.supervisor("a") is not running.supervisor
        unused.release()
        group = unused.supervisor.process_group
        it.reload(Catalog((b,), "b"))
        await used(it, "b")
        await nothing_left(group)


async def test_closing_ends_all_waits(stable: Stable) -> None:
    it = stable.keeper(stable.model("a"), stable.model("b"))
    async with it:
        running = it.lease("a")
        await running.ready()
        waiting = asyncio.create_task(used(it, "b"))
        await until(lambda: it._scheduler.waiting)
    with pytest.raises(ShuttingDown):
        await waiting
    assert states(it) == {"a": "stopped", "b": "stopped"}


async def test_closing_in_the_middle_of_a_change(
    stable: Stable, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = asyncio.Event()

    async def never() -> None:
        settled.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(pool, "wait_memory_settled", never)
    async with stable.keeper(stable.model("a"), stable.model("b")) as it:
        await it.wait_loaded()
        waiting = asyncio.create_task(used(it, "b"))
        await settled.wait()
        # The memory is waited for before the next one starts.
        assert states(it) == {"a": "stopped", "b": "stopped"}
    with pytest.raises(ShuttingDown):
        await waiting
    assert stable.started("b") == 0


async def test_the_log_of_a_model_continues_across_restarts(stable: Stable) -> None:
    async with stable.keeper(stable.model("a", conduct={"says": ["hello"]})) as it:
        lease = it.lease("a")
        await lease.ready()
        await kill(lease)
        await until(lambda: stable.started("a") == 2)
        lease.release()
        ring = it.log_rings["a"]
        await until(lambda: list(ring.lines).count("hello") == 2)
        assert any(line.startswith("[llama-bridge] a is ready: in ") for line in ring.lines)
        assert any("killed by SIGKILL" in line for line in ring.lines)
