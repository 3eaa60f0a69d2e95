"""Which request crashes the engine: histories in virtual time, in which clients ask again after
a crash as the proxy does.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from proxy.errors import CrashesModel, ModelLoading
from proxy.llama_server import Catalog, LaunchSpec, ModelConfig, ModelPool
from proxy.llama_server.process.crash_diagnosis import crashed
from proxy.llama_server.suspects import MEMORY_SECONDS, CrashSuspects, SuspectRun
from tests.llama_server.in_time import Fate, Stage, now, perform

ASKED = 3  # times at most, as the proxy asks for one answer
CRASHES_AFTER = 0.5  # seconds; a poisonous request


class Clients:
    """Requests to one model, and how many of them the engine ever had at once."""

    def __init__(self, it: ModelPool, stage: Stage) -> None:
        self.it, self.stage = it, stage
        self.most = self._running = 0

    async def chat(self, mark: str | None, lasts: float = 2.0) -> str:
        """A mark that begins with "poison" crashes the engine wherever it runs."""
        try:
            lease = self.it.lease("m", fingerprint=mark)
        except CrashesModel:
            return "refused"
        try:
            await lease.ready()
            for asked in range(ASKED):
                if await self._answered(mark or "", lasts):
                    lease.record_answer()
                    return "answered"
                if asked < ASKED - 1:
                    await lease.wait_for_restart()
            return "broken off"
        except CrashesModel:
            return "refused"
        finally:
            lease.release()

    async def _answered(self, mark: str, lasts: float) -> bool:
        child = self.stage.child
        assert child is not None
        if mark.startswith("poison"):
            asyncio.get_running_loop().call_later(CRASHES_AFTER, child.dies, -signal.SIGABRT)
        self._running += 1
        self.most = max(self.most, self._running)
        died, _ = await asyncio.wait({child.exited}, timeout=lasts)
        self._running -= 1
        return not died

    async def chats(self, *marks: str | None, **more: Any) -> list[str]:
        return await asyncio.gather(*(self.chat(mark, **more) for mark in marks))


def crashes(fates: Sequence[Fate], act: Callable[[Clients], Awaitable[None]]) -> int:
    """Return how often the engine's process ended without being asked to."""

    async def scene(stage: Stage) -> None:
        async with ModelPool(
            Catalog((ModelConfig(LaunchSpec("owner/repo", "m")),), "m"), clock=now
        ) as it:
            await it.wait_loaded()
            await act(Clients(it, stage))

    stage, _ = perform(fates, scene)
    return stage.died


CRASHES_TWICE = [Fate(dies=1.3), Fate(dies=1.3), Fate()]
SIX = tuple(f"innocent {number}" for number in range(6))


@pytest.mark.parametrize("marks", [SIX, ("the same",) * 6], ids=["different", "identical"])
def test_two_crashes_under_six_requests_refuse_none_of_them(marks: tuple[str, ...]) -> None:
    async def act(clients: Clients) -> None:
        assert await clients.chats(*marks) == ["answered"] * 6
        clients.most = 0
        assert await clients.chats(*marks, *marks) == ["answered"] * 12
        assert clients.most == 12  # all of them are cleared

    assert crashes(CRASHES_TWICE, act) == 2


def test_a_poisonous_request_among_others_is_the_only_one_that_is_refused() -> None:
    async def act(clients: Clients) -> None:
        late = asyncio.create_task(_one_after_another(clients))
        *innocent, poison = await clients.chats(*SIX, "poison")
        assert innocent == ["answered"] * 6
        assert poison == "broken off"
        assert await clients.chats("poison", "poison") == ["refused"] * 2
        assert set(await late) == {"answered"}

    assert crashes([], act) == 3


async def _one_after_another(clients: Clients) -> list[str]:
    return [await clients.chat(f"late {number}", lasts=0.4) for number in range(20)]


def test_alone_it_is_known_after_two_crashes() -> None:
    async def act(clients: Clients) -> None:
        assert await clients.chat("poison") == "refused"
        assert await clients.chat("innocent") == "answered"
        await asyncio.sleep(MEMORY_SECONDS)
        # It gets another chance, and no more than that.
        assert await clients.chat("poison") == "refused"

    assert crashes([], act) == 2 + 2


def test_a_request_for_another_process_of_the_same_name_starts_with_a_clean_record() -> None:
    async def act(clients: Clients) -> None:
        assert await clients.chat("poison") == "refused"
        clients.it.reload(
            Catalog((ModelConfig(LaunchSpec("owner/repo", "m", flags=("--x", "1"))),), "m")
        )
        lease = clients.it.lease("m", fingerprint="poison")
        await lease.ready()
        lease.release()

    crashes([], act)


@pytest.mark.parametrize(
    "code", [-signal.SIGKILL, -signal.SIGTERM, 0, 128 + signal.SIGKILL, 128 + signal.SIGTERM]
)
def test_an_end_from_outside_proves_nothing(code: int) -> None:
    async def act(clients: Clients) -> None:
        for _ in range(5):
            asked = [
                asyncio.create_task(clients.chat(mark))
                for mark in ("alone", *SIX)[: 1 + 6 * (_ % 2)]
            ]
            for _ in range(2):
                await clients.it.supervisor("m").ensure_ready()
                await asyncio.sleep(0.1)
                assert clients.stage.child
                clients.stage.child.dies(code)
                await clients.stage.until(
                    lambda stage: stage.child and not stage.child.exited.done()
                )
            assert set(await asyncio.gather(*asked)) == {"answered"}
        assert clients.most == 7  # nobody is a suspect

    assert crashes([], act) == 10


@pytest.mark.parametrize(
    ("code", "own_fault"),
    [
        (-signal.SIGSEGV, True),
        (-signal.SIGABRT, True),
        (1, True),
        (7, True),
        (255, True),
        (128 + signal.SIGSEGV, True),
        (-signal.SIGKILL, False),
        (-signal.SIGTERM, False),
        (-signal.SIGINT, False),
        (128 + signal.SIGHUP, False),
        (0, False),
        (None, False),
    ],
)
def test_which_end_is_the_engines_own_fault(code: int | None, own_fault: bool) -> None:
    assert crashed(code) is own_fault


def test_a_suspect_waits_its_turn_and_is_not_overtaken() -> None:
    async def act(clients: Clients) -> None:
        first = [asyncio.create_task(clients.chat(mark, lasts=10)) for mark in ("a", "b")]
        await asyncio.sleep(0.1)
        assert clients.stage.child
        clients.stage.child.dies()
        await asyncio.sleep(5)  # "a" runs alone, "b" waits for it
        newcomer = asyncio.create_task(clients.chat("c", lasts=1))
        leaves = asyncio.create_task(clients.chat("d", lasts=1))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait({newcomer})
        assert [task.done() for task in first] == [True, True]
        assert now() > 20
        assert clients.most == 2

    assert crashes([], act) == 1


def test_a_suspect_that_waits_too_long_learns_why() -> None:
    async def act(clients: Clients) -> None:
        first = [asyncio.create_task(clients.chat(mark, lasts=700)) for mark in ("a", "b")]
        await asyncio.sleep(0.1)
        assert clients.stage.child
        clients.stage.child.dies()
        a, b = await asyncio.gather(*first, return_exceptions=True)
        assert a == "answered"
        assert isinstance(b, ModelLoading)
        assert (
            "m was not available within 600 s: it crashed, and the suspected requests "
            "run one at a time"
        ) in str(b)

    crashes([], act)


def test_a_request_that_leaves_in_the_moment_of_its_turn_holds_up_no_other() -> None:
    async def scene(_: Stage) -> None:
        suspects, first, second, third = (
            CrashSuspects(now),
            SuspectRun("a"),
            SuspectRun("b"),
            SuspectRun("c"),
        )
        for run in (first, second):
            await suspects.enter(run)
            await suspects.enter(run)  # it is in already
        suspects.process_ended(crashed=True)
        await suspects.enter(first)
        waiting = [asyncio.create_task(suspects.enter(run)) for run in (second, third)]
        await asyncio.sleep(0)
        suspects.clear(first)  # now it is the turn of the second
        waiting[0].cancel()
        await asyncio.wait(waiting)
        assert (waiting[0].cancelled(), waiting[1].cancelled(), now()) == (True, False, 0)
        waiting = [asyncio.create_task(suspects.enter(run)) for run in (second, first)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        suspects.clear(third)
        await asyncio.wait(waiting)
        assert (waiting[0].cancelled(), waiting[1].cancelled(), now()) == (True, False, 0)

    perform([], scene)


@pytest.mark.parametrize("gives_up", [0, 1])
@pytest.mark.parametrize("late", [True, False])
def test_a_request_may_ask_in_two_tasks_one_of_which_gives_up(gives_up: int, late: bool) -> None:
    """As a chat does that counts its tokens because nothing has come for some seconds."""

    async def scene(_: Stage) -> None:
        suspects, first, second = CrashSuspects(now), SuspectRun("a"), SuspectRun("b")
        for run in (first, second):
            await suspects.enter(run)
        suspects.process_ended(crashed=True)
        await suspects.enter(first)
        asked = [asyncio.create_task(suspects.enter(second)) for _ in range(2)]
        await asyncio.sleep(0.1)
        if late:
            suspects.clear(first)
        asked[gives_up].cancel()
        await asyncio.wait({asked[gives_up]})
        suspects.clear(first)
        await asked[1 - gives_up]
        third = asyncio.create_task(suspects.enter(SuspectRun("c")))
        await asyncio.sleep(0.1)
        assert not third.done()  # the second runs alone
        suspects.clear(second)
        await third

    perform([], scene)


def test_a_request_that_leaves_without_an_answer_is_in_flight_for_a_moment_longer() -> None:
    """Its connection breaks before the exit of the process is noticed: who comes in between is
    not to blame.
    """

    async def scene(_: Stage) -> None:
        suspects = CrashSuspects(now)
        for run in (SuspectRun("a"), SuspectRun("company")):
            await suspects.enter(run)
        suspects.process_ended(crashed=True)
        for _crash in range(2):
            run = SuspectRun("a")
            await suspects.enter(run)
            newcomer = asyncio.create_task(suspects.enter(SuspectRun("b")))
            suspects.leave(run)
            await asyncio.sleep(0.1)
            assert not newcomer.done()
            suspects.process_ended(crashed=True)
            await newcomer
            suspects.process_ended(crashed=False)
        suspects.check("b")
        with pytest.raises(CrashesModel):
            suspects.check("a")
        await suspects.enter(company := SuspectRun("company"))
        suspects.leave(company)
        began = now()
        await suspects.enter(SuspectRun("b"))
        assert 0 < now() - began <= 5

    perform([], scene)


async def test_a_copy_that_waits_is_refused_when_the_first_is_convicted() -> None:
    suspects, first, copy = CrashSuspects(lambda: 0.0), SuspectRun("a"), SuspectRun("a")
    await suspects.enter(first)
    await suspects.enter(SuspectRun(None))  # never suspected, but company
    suspects.process_ended(crashed=True)
    await suspects.enter(first)
    waiting = asyncio.create_task(suspects.enter(copy))
    await asyncio.sleep(0)
    suspects.process_ended(crashed=True)
    await waiting  # alone in its turn
    suspects.process_ended(crashed=True)
    with pytest.raises(CrashesModel, match="llama-server crashed 2 times on this request alone"):
        await suspects.enter(first)
    suspects.check("b")
    suspects.check(None)


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.2, 3.0]),
        st.sampled_from(["poison 1", "poison 2", "a", "b", "c", "d"]),
        st.sampled_from([0.1, 1, 4]),
    ),
    max_size=14,
)
