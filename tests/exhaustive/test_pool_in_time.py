"""Histories of many models with one place: requests, swaps and reloads at any moment, children
that do what they like.
"""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors import ChildFailed, ModelLoading, ModelNotFound
from proxy.llama_server import Catalog, LaunchSpec, ModelConfig, ModelPool, ProcessState
from tests.llama_server.in_time import Fate, Stage, now, perform

TRIVIAL = {"ready", "ModelNotFound"}


def catalogue(variant: Sequence[int], room: int, group: str | None) -> Catalog:
    """Of each model: whether it is there, and what it is launched with.

    Two of them may stay and leave together.
    """
    models = [
        ModelConfig(
            LaunchSpec("owner/repo", name, flags=("--x", str(how))),
            preload=name == "b",
            idle_unload=4,
            group=group if name != "c" else None,
        )
        for name, how in zip("abc", variant, strict=True)
        if how
    ]
    return Catalog(tuple(models), models[0].name, models_max=room)


class History:
    def __init__(self, room: int, group: str | None) -> None:
        self._room, self._group = room, group
        self.it = ModelPool(self._catalogue((1, 1, 1)), clock=now)
        self.requests: list[asyncio.Task[str]] = []

    def _catalogue(self, variant: Sequence[int]) -> Catalog:
        return catalogue(variant, self._room, self._group)

    async def _request(self, name: str, lasts: float) -> str:
        try:
            lease = self.it.lease(name)
        except ModelNotFound:
            return "ModelNotFound"
        began = now()
        try:
            await lease.ready()
            assert lease.supervisor.state.value == "ready"
            await asyncio.sleep(lasts)
            lease.record_answer()
        except (ChildFailed, ModelLoading, ModelNotFound) as error:
            assert now() - began <= 1200  # its turn, and the start
            return type(error).__name__
        finally:
            lease.release()
        return "ready"

    async def act(self, acts: Sequence[tuple[float, str, float | Sequence[int]]]) -> list[str]:
        async with self.it:
            for pause, act, how in acts:
                await asyncio.sleep(pause)
                if isinstance(how, float):
                    self.requests.append(asyncio.create_task(self._request(act, how)))
                elif act == "reload":
                    self.it.reload(self._catalogue(how))
                elif self.requests:
                    self.requests[-1].cancel()
            done = await asyncio.gather(*self.requests, return_exceptions=True)
            assert [result for result in done if isinstance(result, Exception)] == []
            last = self.it.models[-1].name
            # It still decides.
            assert await self._request(last, 1) in ("ready", "ChildFailed", "ModelLoading")
            await self.it.wait_loaded()
            assert not self.it._scheduler.waiting
            assert set(self.it._scheduler.loaded) <= {model.name for model in self.it.models}
        return [str(result) for result in done if not isinstance(result, BaseException)]


async def keeps_its_process(it: ModelPool, name: str) -> bool:
    """One request that takes five seconds."""
    lease = it.lease(name)
    try:
        address = await lease.ready()
        await asyncio.sleep(5)
        return lease.supervisor.address == address and lease.supervisor.state is ProcessState.READY
    finally:
        lease.release()


@pytest.mark.parametrize("steps", range(8))
def test_a_request_in_the_moment_of_an_unload_keeps_its_process(steps: int) -> None:
    async def act(_: Stage) -> bool:
        async with ModelPool(catalogue((1, 1, 0), 1, None), clock=now) as it:
            await it.wait_loaded()
            # Now it is unloaded; these are the steps of the loop around that.
            await asyncio.sleep(4)
            for _step in range(steps):
                await asyncio.sleep(0)
            return await keeps_its_process(it, "b")

    _, kept = perform([Fate(ending=0.3)], act)
    assert kept


@pytest.mark.parametrize("steps", range(8))
def test_a_request_in_the_moment_of_a_swap_that_is_not_wanted_any_more_keeps_its_process(
    steps: int,
) -> None:
    async def act(_: Stage) -> bool:
        async with ModelPool(catalogue((1, 1, 0), 1, None), clock=now) as it:
            await it.wait_loaded()
            other = it.lease("a")
            wanted = asyncio.create_task(other.ready())
            for _step in range(steps):
                await asyncio.sleep(0)
            wanted.cancel()
            other.release()
            return await keeps_its_process(it, "b")

    _, kept = perform([Fate(ending=0.3)], act)
    assert kept


NAMES = st.sampled_from("abc")
ASK = st.tuples(st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]), NAMES, st.sampled_from([0.0, 0.5, 5.0]))
LEAVE = st.tuples(st.sampled_from([0.0, 0.5]), st.just("leave"), st.just(()))
VARIANTS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)).filter(any)
RELOAD = st.tuples(st.sampled_from([0.0, 0.1, 0.6, 2.0]), st.just("reload"), VARIANTS)
GOOD = st.builds(Fate, up=st.sampled_from([0.0, 0.5, 3.0]), ending=st.sampled_from([0.0, 0.3]))
BAD = st.builds(
    Fate,
    up=st.sampled_from([0.0, 0.5, 700.0]),
    dies=st.sampled_from([None, 0.2, 4.0]),
    ending=st.sampled_from([0.0, 0.3]),
)
ROOM, GROUP = st.integers(1, 2), st.sampled_from([None, "g"])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(GOOD, min_size=1, max_size=5),
    st.lists(st.one_of(ASK, ASK, RELOAD, LEAVE), max_size=16),
    ROOM,
    GROUP,
)
@example(
    [Fate(up=3)],
    [(0.0, "a", 5.0), (0.1, "b", 1.0), (0.5, "reload", (1, 2, 0)), (0.0, "c", 1.0)],
    1,
    None,
)
@example([Fate(up=3)], [(0.0, "c", 0.0), (4.0, "reload", (1, 1, 0)), (0.0, "a", 1.0)], 1, None)
def test_with_good_processes_all_are_served_or_learn_that_their_model_was_removed(
    fates: list[Fate],
    acts: list[tuple[float, str, float | Sequence[int]]],
    room: int,
    group: str | None,
) -> None:
    async def act(_: Stage) -> list[str]:
        return await History(room, group).act(acts)

    stage, heard = perform(fates, act, room + (group is not None))
    assert set(heard) <= TRIVIAL
    assert stage.living == 0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(GOOD, BAD), min_size=1, max_size=6),
    st.lists(st.one_of(ASK, ASK, RELOAD, LEAVE), max_size=12),
    ROOM,
    GROUP,
)
def test_with_bad_ones_all_come_to_an_end(
    fates: list[Fate],
    acts: list[tuple[float, str, float | Sequence[int]]],
    room: int,
    group: str | None,
) -> None:
    async def act(_: Stage) -> list[str]:
        return await History(room, group).act(acts)

    stage, _ = perform(fates, act, room + (group is not None))
    assert stage.living == 0
