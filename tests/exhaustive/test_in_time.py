"""The supervisor's histories to the second: rests, giving up, waiting, stopping; and histories
that nobody has thought of.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors import ChildFailed, ModelLoading, ShuttingDown
from proxy.llama_server import LaunchSpec, ProcessAddress, ProcessState, Supervisor
from proxy.llama_server.process import supervisor
from tests.llama_server.in_time import Fate, Stage, now, perform, play

NEVER_UP = Fate(up=None)
EARLY = Fate(dies=0.5)
IDLE = Fate(up=2, dies=5)  # READY for three seconds
GOOD = Fate()
NO_GPU = ("warning: no usable GPU found, --gpu-layers option will be ignored",)


async def told(asking: Awaitable[ProcessAddress]) -> tuple[float, str]:
    """When somebody who needs the child was answered, and how."""
    try:
        await asking
    except (ChildFailed, ModelLoading, ShuttingDown) as error:
        return now(), type(error).__name__
    return now(), "ready"


def test_the_rests_are_1_2_4_and_so_on_up_to_a_minute() -> None:
    async def act(it: Supervisor, stage: Stage) -> None:
        await it.start()
        await stage.until(lambda stage: len(stage.starts) == 10)
        await it.close()

    stage, _ = play([IDLE], act)
    rests = [
        begun - ended for ended, begun in zip(stage.when("resting"), stage.starts[1:], strict=True)
    ]
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [begun + 5 for begun in stage.starts[:-1]] == stage.when("resting")


def test_a_finished_answer_resets_the_counters_and_the_restart_is_immediate() -> None:
    async def act(it: Supervisor, stage: Stage) -> None:
        await it.start()
        await stage.until(lambda stage: len(stage.starts) == 4)  # rests of 1, 2 and 4 seconds
        await it.ensure_ready()
        it.record_answer()
        await stage.until(lambda stage: len(stage.starts) == 6)
        await it.close()

    stage, _ = play([IDLE], act)
    # The fourth gave an answer, the fifth did not: a rest of 1 s again.
    assert stage.starts == [0, 6, 13, 22, 27, 33]
    assert stage.states().count("resting") == 4


def test_failed_lasts_30_seconds_then_one_request_tries_once() -> None:
    async def act(it: Supervisor, _: Stage) -> list[tuple[float, str]]:
        heard = [await told(it.ensure_ready())]
        await asyncio.sleep(29.9)
        heard.append(await told(it.ensure_ready()))  # at once, and no try
        await asyncio.sleep(100)
        # They share one try.
        heard += await asyncio.gather(*(told(it.ensure_ready()) for _ in range(5)))
        await asyncio.sleep(30)
        heard.append(await told(it.ensure_ready()))
        await it.close()
        return heard

    stage, heard = play([EARLY] * 4 + [GOOD], act)
    assert stage.when("failed") == [1.5, 131.9]
    assert stage.starts == [0, 0.5, 1, 131.4, 161.9]
    assert heard == [
        (1.5, "ChildFailed"),
        (31.4, "ChildFailed"),
        *[(131.9, "ChildFailed")] * 5,
        (162.9, "ready"),
    ]


def test_three_that_are_never_ready_have_failed_too() -> None:
    async def act(it: Supervisor, stage: Stage) -> None:
        await it.start()
        await stage.until(lambda stage: stage.when("failed"))
        await it.close()

    stage, _ = play([NEVER_UP, Fate(refused=True, ending=4)], act)
    assert stage.starts == [0, 1800, 1805]
    assert stage.when("failed") == [1810]


def test_who_waits_gives_up_after_its_own_ten_minutes_and_the_child_goes_on() -> None:
    async def act(it: Supervisor, _: Stage) -> list[tuple[float, str]]:
        first = asyncio.create_task(told(it.ensure_ready()))
        await asyncio.sleep(200)
        second = asyncio.create_task(told(it.ensure_ready()))
        leaves = asyncio.create_task(it.ensure_ready())
        await asyncio.sleep(300)
        leaves.cancel()
        third = asyncio.create_task(told(it.ensure_ready()))
        heard = [await first, await second, await third]
        await it.close()
        return heard

    stage, heard = play([Fate(up=900)], act)
    assert heard == [(600, "ModelLoading"), (800, "ModelLoading"), (900, "ready")]
    assert stage.starts == [0]


@pytest.mark.parametrize(
    ("fates", "at", "during", "over"),
    [
        ([NEVER_UP], 3, "starting", 3),
        ([Fate(up=None, ending=4)], 3, "starting", 7),
        ([Fate(ending=4)], 3, "ready", 7),
        ([IDLE], 5.5, "resting", 5.5),
        ([EARLY], 5, "failed", 5),
        ([EARLY], 500, "failed", 500),  # where it may be tried again
    ],
)
@pytest.mark.parametrize("stops", [1, 3])
def test_a_stop_in_every_state(
    fates: list[Fate], at: float, during: str, over: float, stops: int
) -> None:
    async def act(it: Supervisor, stage: Stage) -> tuple[float, str]:
        await it.start()
        await asyncio.sleep(at)
        assert it.state.value == during
        waiting = (
            asyncio.create_task(told(it.ensure_ready()))
            if during in ("starting", "resting")
            else None
        )
        await asyncio.sleep(0)
        stopping = [asyncio.create_task(it.close() if waiting else it.stop()) for _ in range(stops)]
        await asyncio.wait(stopping)
        ended = now()
        assert (it.state, it.pid, stage.living) == (ProcessState.STOPPED, None, 0)
        if waiting:
            assert await waiting == (at, "ShuttingDown")
        await asyncio.sleep(1000)
        return ended, it.state.value

    stage, heard = play(fates, act)
    assert heard == (over, "stopped")
    assert stage.states()[-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize(("booted", "starts"), [(20, [0, 35]), (700, [0])])
def test_right_after_the_boot_the_gpu_is_looked_for_once_more(
    monkeypatch: pytest.MonkeyPatch, booted: float, starts: list[float]
) -> None:
    async def act(it: Supervisor, _: Stage) -> None:
        await it.ensure_ready()
        await asyncio.sleep(1000)
        await it.close()

    monkeypatch.setattr(supervisor, "uptime_seconds", lambda: booted)
    stage, _ = play([Fate(ending=4, says=NO_GPU)], act)
    # The first one leaves before the other comes, and there is no third.
    assert stage.starts == starts


def test_a_request_in_the_moment_of_the_second_look_keeps_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether answers run is asked in the moment in which the child is given up: no request
    comes between.
    """
    heard: list[tuple[ProcessAddress, ProcessAddress]] = []

    async def act(stage: Stage, answers_run: bool) -> None:
        async def comes() -> None:
            address = await it.ensure_ready()
            await asyncio.sleep(10)
            heard.append((address, it.address))

        def busy() -> bool:
            tasks.append(asyncio.create_task(comes()))
            return answers_run

        it = Supervisor(LaunchSpec("owner/repo", "m"), on_line=stage.line, busy=busy)
        tasks: list[asyncio.Task[None]] = []
        await it.ensure_ready()
        await asyncio.sleep(100)
        await asyncio.gather(*tasks)
        await it.close()

    monkeypatch.setattr(supervisor, "uptime_seconds", lambda: 20.0)
    for answers_run, starts in ((True, [0]), (False, [0, 31])):
        stage, _ = perform([Fate(says=NO_GPU)], partial(act, answers_run=answers_run))
        assert stage.starts == starts
    assert len(heard) == 2
    assert all(first == last for first, last in heard)


def test_who_comes_while_it_stops_gets_the_next_one() -> None:
    async def act(it: Supervisor, _: Stage) -> list[tuple[float, str]]:
        await it.ensure_ready()
        stopping = asyncio.create_task(it.stop())
        await asyncio.sleep(2)
        assert it.state is ProcessState.STOPPING
        heard = [await told(it.ensure_ready())]
        await stopping
        await it.close()
        return heard

    stage, heard = play([Fate(ending=4)], act)
    assert stage.starts == [0, 5]
    assert heard == [(6, "ready")]


@dataclass
class History:
    """What people do to a supervisor, and what must hold all the while."""

    it: Supervisor
    stage: Stage
    requests: list[asyncio.Task[tuple[float, float, str]]] = field(default_factory=list)
    answers: dict[int, list[float]] = field(default_factory=dict)  # of each child

    async def act(self, acts: list[tuple[float, str]]) -> None:
        does: dict[str, Callable[[], object]] = {
            "ask": lambda: self.requests.append(asyncio.create_task(self._ask())),
            "leave": lambda: self.requests and self.requests[-1].cancel(),
            "answer": self._answer,
            "stop": lambda: asyncio.ensure_future(self.it.stop()),
            "start": lambda: asyncio.ensure_future(self.it.start()),
        }
        for pause, act in acts:
            await asyncio.sleep(pause)
            does[act]()
        await asyncio.sleep(2000)
        await self.it.close()

    def _answer(self) -> None:
        if self.it.state is ProcessState.READY:
            self.it.record_answer()
            self.answers.setdefault(len(self.stage.starts), []).append(now())

    async def _ask(self) -> tuple[float, float, str]:
        began = now()
        try:
            address = await self.it.ensure_ready()
        except (ChildFailed, ModelLoading) as error:
            return began, now(), type(error).__name__
        assert self.it.state is ProcessState.READY
        assert self.it.address == address
        # Who dies in this very moment.
        assert self.stage.living == 1 or self.stage.fate.dies is not None
        return began, now(), "ready"

    def holds(self) -> None:
        assert self.it.state is ProcessState.STOPPED
        assert self.stage.living == 0
        for request in self.requests:
            assert request.done()
            if not request.cancelled():
                began, ended, how = request.result()
                assert ended - began <= 600
                assert how != "ModelLoading" or ended - began == 600
        self._log_is_right()

    def _log_is_right(self) -> None:
        """Every step that it tells, against a count of its own."""
        early = idle = child = 0
        for (before, was), (at, state) in pairwise(
            zip([at for at, _ in self.stage.happened], self.stage.states(), strict=True)
        ):
            child += was == "starting"
            match was, state:
                case "starting", "starting":
                    early += 1
                    assert early < 3
                case "starting", "failed":
                    early += 1
                    assert early >= 3
                case "starting", "ready":
                    early = 0
                case "ready", "starting" | "resting":
                    answers = self.answers.get(child, [])
                    assert at in answers or (state == "starting") is bool(answers)
                    idle = idle + 1 if state == "resting" else 0
                case "resting", "starting":
                    assert at - before == min(2 ** (idle - 1), 60)
                case "failed", "starting":
                    assert at - before >= 30
                case "stopping", "stopped":
                    early = idle = 0
                case _:
                    assert state == "stopping" or was == "stopped"


FATES = st.one_of(
    st.sampled_from([EARLY, IDLE, Fate(up=0, dies=20), Fate(dies=40), GOOD, NEVER_UP]),
    st.builds(
        Fate,
        up=st.sampled_from([None, 0.0, 1.0, 20.0, 700.0]),
        dies=st.sampled_from([None, 0.0, 0.5, 1.0, 5.0, 40.0]),
        ending=st.sampled_from([0.0, 4.0]),
        refused=st.booleans(),
    ),
)
ACTS = st.tuples(
    st.sampled_from([0.0, 0.5, 3.0, 7.0, 31.0, 100.0, 650.0]),
    st.sampled_from(["ask", "ask", "ask", "leave", "answer", "answer", "stop", "start"]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(FATES, min_size=1, max_size=8), st.lists(ACTS, max_size=20))
@example([Fate(up=0.0, dies=0.0)], [(0.0, "ask"), (0.5, "answer"), (31.0, "ask")])
@example([EARLY], [(0.0, "ask"), (31.0, "ask"), (0.0, "stop"), (0.0, "ask")])
def test_no_history_leads_astray(fates: list[Fate], acts: list[tuple[float, str]]) -> None:
    async def act(it: Supervisor, stage: Stage) -> None:
        history = History(it, stage)
        await history.act(acts)
        history.holds()

    play(fates, act)
