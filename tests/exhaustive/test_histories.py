"""Histories of any events at any moment: no state is wrong, nothing stays reserved, only poison
is refused.
"""

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors import ContextOverflow
from proxy.llama_server.admission import MAX_OVERTAKEN, Admission, Reservation
from proxy.llama_server.process.state import (
    MAX_BACKOFF,
    MAX_EARLY_EXITS,
    TRANSITIONS,
    ProcessEvent,
    ProcessHistory,
    ProcessState,
)
from tests.llama_server.in_time import now
from tests.llama_server.process.test_state import (
    ANY,
    BEGIN,
    DEATH,
    GONE,
    IMPOSSIBLE,
    PROPER,
    RESTED,
    UP,
    proper,
)
from tests.llama_server.queue_in_time import SHARED, TOTAL, Engine, play
from tests.llama_server.test_admission import REQUEST
from tests.llama_server.test_admission_queue import ACTS
from tests.llama_server.test_suspects import ARRIVALS, CRASHES_AFTER, Clients, crashes


@settings(deadline=None, max_examples=150)
@given(ACTS, st.sampled_from([0.0, 0.4, 3.0]), st.sampled_from([0.0, 0.2]))
def test_whatever_happens_nothing_overflows_and_nothing_stays_reserved(
    acts: list[Any], notices: float, counting: float
) -> None:
    async def scene(engine: Engine) -> None:
        engine.notices = notices
        sizes: dict[Reservation, int] = {}
        tasks: list[asyncio.Task[None]] = []

        async def one(reservation: Reservation, lasts: float) -> None:
            try:
                await engine.answer(reservation, lasts)
            except ContextOverflow:
                assert now() - began[reservation] <= counting * 2 * len(acts)

        def check() -> None:
            at_work = [one for one, until in engine.working.items() if until > now()]
            assert len(at_work) <= 1 or sum(sizes[one] for one in at_work) <= TOTAL

        began: dict[Reservation, float] = {}
        for pause, prompt, output, tools, lasts, leaves in acts:
            await asyncio.sleep(pause)
            real = ContextOverflow("long") if prompt == "overflow" else prompt
            reservation = engine.asked(str(len(tasks)), real, output, takes=counting, tools=tools)
            size = TOTAL if prompt in (None, "overflow") or output is None else prompt + output
            sizes[reservation], began[reservation] = min(TOTAL, size), now()
            tasks.append(asyncio.create_task(one(reservation, lasts)))
            if leaves is not None:
                asyncio.get_running_loop().call_later(leaves, tasks[-1].cancel)
            check()
        for _ in range(200):
            await asyncio.sleep(0.5)
            check()
        failed = [
            result
            for result in await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(result, Exception)
        ]
        assert failed == []
        assert engine.is_empty()

    play(scene)


@settings(deadline=None, max_examples=300)
@given(st.one_of(ANY, PROPER.map(proper)))
@example([BEGIN, DEATH, DEATH, UP, GONE, DEATH, RESTED, DEATH])
def test_no_history_leads_astray(history: list[ProcessEvent]) -> None:
    early = idle = 0
    alive = answered = False
    life = ProcessHistory()
    for happening in history:
        before, life = life, life.after(happening)
        if (before.state, happening) not in TRANSITIONS:
            assert life is before
            continue
        if happening in (
            DEATH,
            IMPOSSIBLE,
            ProcessEvent.RESTART_REQUESTED,
            GONE,
        ):  # the one that was is no more
            alive = False
        if life.state is ProcessState.STARTING:
            assert not alive
            alive = True
        match before.state, happening:
            case ProcessState.STARTING, ProcessEvent.EXITED | ProcessEvent.CANNOT_START:
                early = MAX_EARLY_EXITS if happening is IMPOSSIBLE else early + 1
                assert life.state is (
                    ProcessState.FAILED if early >= MAX_EARLY_EXITS else ProcessState.STARTING
                )
            case _, ProcessEvent.BECAME_READY:
                early = 0
            case _, ProcessEvent.ANSWERED:
                idle, answered = 0, True
            case ProcessState.READY, ProcessEvent.EXITED:
                idle += not answered
                assert life.state is (ProcessState.STARTING if answered else ProcessState.BACKOFF)
                assert answered or life.backoff == min(2 ** (idle - 1), MAX_BACKOFF)
            case ProcessState.STOPPING, _:
                assert happening is GONE
                assert life == ProcessHistory()
                early = idle = 0
        answered = answered and life.state is ProcessState.READY
        assert (life.early_exits, life.idle_exits) == (early, idle)


@settings(deadline=None, max_examples=80)
@given(ARRIVALS)
@example(
    [
        (0.0, "a", 4),
        (0.0, "poison 1", 1),
        (0.0, "poison 2", 1),
        (0.0, "a", 1),
        (3.0, "poison 1", 1),
        (3.0, "poison 2", 1),
    ]
)
def test_whatever_comes_together_only_poison_is_refused_and_the_crashes_are_bounded(
    arrivals: list[tuple[float, str, float]],
) -> None:
    async def act(clients: Clients) -> None:
        asked: list[tuple[str, asyncio.Task[str]]] = []
        for pause, mark, lasts in arrivals:
            await asyncio.sleep(pause)
            asked.append(
                (
                    mark,
                    asyncio.create_task(
                        clients.chat(
                            mark,
                            lasts=max(lasts, 2 * CRASHES_AFTER)
                            if mark.startswith("poison")
                            else lasts,
                        )
                    ),
                )
            )
        for mark, task in asked:
            assert (await task) in (
                {"broken off", "refused"}
                if mark.startswith("poison")
                else {"answered", "broken off"}
            )
        assert await clients.chats("a", "b", "c", "d") == ["answered"] * 4

    assert crashes([], act) <= 3 * len(
        {mark for _, mark, _ in arrivals if mark.startswith("poison")}
    )


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(REQUEST, st.builds(Reservation)), st.integers(0, 2), st.booleans()),
        max_size=40,
    )
)
def test_the_cache_never_overflows_and_all_start_in_the_end(
    history: list[tuple[Reservation, int, bool]],
) -> None:
    rules = Admission(SHARED)
    seen: list[Reservation] = []

    def check() -> None:
        assert rules.capacity.tokens is not None
        taken = [one.tokens(1000) or 0 for one in [*rules.running, *rules.ending]]
        assert sum(taken) <= 1000
        assert len(taken) == 1 or sum(one.slots for one in [*rules.running, *rules.ending]) <= 3
        assert all(one.overtaken <= MAX_OVERTAKEN for one in seen)

    def end(finished: bool) -> None:
        if rules.ending:
            rules.free(rules.ending[0])
        elif rules.running:
            rules.leave(rules.running[0], finished=finished)

    for request, ends, finished in history:
        seen.append(request)
        rules.enter(request)
        check()
        for _ in range(ends):
            end(finished)
            check()
    for _ in range(2 * len(seen)):
        end(finished=True)
        check()
    assert all(request.admitted.is_set() for request in seen)
    assert not rules.waiting
