"""The queue in virtual time: what is counted, who waits for whom, and that nothing stays
reserved.
"""

import asyncio

import pytest
from hypothesis import strategies as st

from proxy.errors import ContextOverflow, ShuttingDown
from proxy.llama_server.admission import MAX_OVERTAKEN, SPARE_TOKENS, Capacity
from tests.llama_server.in_time import now

from .queue_in_time import SHARED, Engine, play


def test_one_alone_is_not_counted_until_another_comes() -> None:
    async def scene(engine: Engine) -> list[float]:
        first = asyncio.create_task(engine.answer(engine.asked("first", 300, 100), 10))
        await asyncio.sleep(1)
        assert engine.counted == []
        second = asyncio.create_task(engine.answer(engine.asked("second", 300, 100), 10))
        await asyncio.sleep(1)
        assert engine.counted == ["first", "second"]
        third = asyncio.create_task(engine.answer(engine.asked("third", 300, 100), 10))
        began = list(await asyncio.gather(first, second, third))
        assert engine.counted == ["first", "second", "third"]  # each once
        assert engine.looks == 0
        return began

    assert play(scene) == [0, 1, 10]


def test_two_that_do_not_fit_run_one_after_the_other() -> None:
    async def scene(engine: Engine) -> list[float]:
        began = await asyncio.gather(
            *(engine.answer(engine.asked(name, 500, 100), 10) for name in "abc")
        )
        assert engine.most == 1
        return began

    assert play(scene) == [0, 10, 20]


def test_a_prompt_that_never_fits_is_refused_at_once() -> None:
    async def scene(engine: Engine) -> None:
        running = asyncio.create_task(engine.answer(engine.asked("running", 10, None), 10))
        await asyncio.sleep(1)
        with pytest.raises(ContextOverflow):
            await engine.answer(engine.asked("long", ContextOverflow("too long")), 1)
        assert now() == 1
        await running
        assert engine.is_empty()

    play(scene)


def test_a_running_request_that_the_engine_will_refuse_counts_as_all() -> None:
    async def scene(engine: Engine) -> list[float]:
        requests = (
            engine.asked("long", ContextOverflow("too long"), 1),
            engine.asked("short", 1, 1),
        )
        return await asyncio.gather(*(engine.answer(request, 3) for request in requests))

    assert play(scene) == [0, 3]


def test_what_cannot_be_counted_runs_alone() -> None:
    async def scene(engine: Engine) -> list[float]:
        return await asyncio.gather(
            *(
                engine.answer(engine.asked(name, prompt, 1), 3)
                for name, prompt in (("a", 1), ("b", None), ("c", 1))
            )
        )

    assert play(scene) == [0, 3, 6]


def test_slots_with_caches_of_their_own_are_not_counted() -> None:
    async def scene(engine: Engine) -> list[float]:
        began = await asyncio.gather(
            *(engine.answer(engine.asked(name, 900, None), 3, Capacity(None, 2)) for name in "abc")
        )
        assert engine.counted == []
        assert engine.cleared == 0
        return began

    assert play(scene) == [0, 0, 3]


def test_a_client_that_disconnects_while_it_waits_delays_no_other() -> None:
    async def scene(engine: Engine) -> float:
        first = asyncio.create_task(engine.answer(engine.asked("first", 500, 100), 10))
        gone = asyncio.create_task(engine.answer(engine.asked("gone", 900, 100), 10))
        third = asyncio.create_task(engine.answer(engine.asked("third", 100, 100), 10))
        await asyncio.sleep(2)
        gone.cancel()
        began = await third
        await first
        assert engine.is_empty()
        return began

    assert play(scene) == 2


@pytest.mark.parametrize("at", [0.0, 0.5, 1.5])
def test_a_client_that_leaves_while_it_is_counted(at: float) -> None:
    async def scene(engine: Engine) -> float:
        first = asyncio.create_task(engine.answer(engine.asked("first", 500, 100, takes=1), 10))
        gone = asyncio.create_task(engine.answer(engine.asked("gone", 500, 100, takes=1), 10))
        third = asyncio.create_task(engine.answer(engine.asked("third", 100, 100, takes=1), 10))
        await asyncio.sleep(at)
        gone.cancel()
        began = await third
        await first
        assert engine.is_empty()
        return began

    assert play(scene) <= 4


def test_a_client_that_leaves_in_mid_answer_is_waited_for_until_the_engine_has_noticed() -> None:
    async def scene(engine: Engine) -> float:
        engine.notices = 2.0
        gone = asyncio.create_task(engine.answer(engine.asked("gone", 800, 100), 100))
        await asyncio.sleep(5)
        again = asyncio.create_task(engine.answer(engine.asked("gone", 800, 100), 10))
        await asyncio.sleep(1)
        gone.cancel()
        began = await again
        assert engine.most == 1
        assert engine.is_empty()
        return began

    assert 8 <= play(scene) < 10


def test_a_request_that_starts_meanwhile_does_not_hide_one_that_still_runs() -> None:
    async def scene(engine: Engine) -> None:
        engine.notices = 5.0
        gone = asyncio.create_task(engine.answer(engine.asked("gone", 500, 0), 100))
        other = asyncio.create_task(engine.answer(engine.asked("other", 100, 0), 0.3))
        await asyncio.sleep(0.1)
        gone.cancel()
        await other
        await engine.answer(engine.asked("next", 100, 0), 30)  # fits beside it
        assert engine.is_empty()
        assert engine.looks >= 4

    play(scene)


def test_an_engine_that_never_notices_is_not_waited_for_without_end() -> None:
    async def scene(engine: Engine) -> float:
        engine.notices = 1e9
        gone = asyncio.create_task(engine.answer(engine.asked("gone", 900, 0), 100))
        await asyncio.sleep(1)
        gone.cancel()
        return await engine.answer(engine.asked("next", 900, 0), 1)

    assert 60 < play(scene) < 90


def test_a_title_is_not_starved_by_an_endless_row_of_requests_with_tools() -> None:
    async def scene(engine: Engine) -> float:
        async def agent(name: str) -> None:
            for _ in range(20):
                await engine.answer(engine.asked(name, 800, 100, tools=True), 10)

        agents = [asyncio.create_task(agent(name)) for name in ("one", "two", "three")]
        await asyncio.sleep(1)
        began = await engine.answer(engine.asked("title", 100, None), 1)
        await asyncio.gather(*agents)
        return began

    assert play(scene) == 10 * (1 + 2 + MAX_OVERTAKEN)  # one runs, and two came before it


def test_waiting_requests_are_refused_on_shutdown() -> None:
    async def scene(engine: Engine) -> None:
        first = asyncio.create_task(engine.answer(engine.asked("first", 900, 0), 10))
        waiting = asyncio.create_task(engine.answer(engine.asked("second", 900, 0), 10))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        engine.notices = 100
        engine.queue.close(ShuttingDown("over"))
        with pytest.raises(ShuttingDown):
            await waiting
        await asyncio.sleep(0)
        assert engine.is_empty()
        assert engine.looks == 0

    play(scene)


def test_the_sentence() -> None:
    async def scene(engine: Engine) -> list[str | None]:
        running = asyncio.create_task(engine.answer(engine.asked("running", 500, 100), 10))
        one, two = engine.asked("one", 600, 100), engine.asked("two", None, 1)
        tasks = [asyncio.create_task(engine.answer(request, 1)) for request in (one, two)]
        own = engine.asked("own", 1)
        assert engine.queue.waiting_reason(own) is None
        await asyncio.sleep(1)
        said = [engine.queue.waiting_reason(request) for request in (one, two)]
        engine.queue._rules.capacity = Capacity(None, 1)
        said.append(engine.queue.waiting_reason(two))
        await asyncio.gather(running, *tasks)
        return said

    running = (
        f"waiting for 1 running request: {600 + SPARE_TOKENS} of 1,000 tokens of context are "
        f"reserved, "
        f"and it needs {700 + SPARE_TOKENS}"
    )
    assert play(scene) == [
        running,
        (
            f"waiting for 1 running request, 1 more before it: "
            f"{600 + SPARE_TOKENS} of 1,000 tokens of context are reserved, and it needs 1,000"
        ),
        "waiting for 1 running request, 1 more before it",
    ]


def test_idle_slots_are_cleared_for_a_conversation_that_comes_back() -> None:
    async def scene(engine: Engine) -> list[int]:
        cleared = []
        for name in ("main", "sub", "main", "main", "sub"):
            request = engine.asked(name, 600, 100)
            await engine.queue.admit(request, SHARED)
            engine.queue.leave(request, finished=True, tokens=600)
            cleared.append(engine.cleared)
        return cleared

    assert play(scene) == [0, 0, 1, 1, 2]


ACTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 3.0]),  # after the one before
        st.one_of(st.none(), st.integers(0, 1200), st.just("overflow")),  # the prompt
        st.one_of(st.none(), st.integers(0, 600)),  # max_tokens
        st.booleans(),  # with tools
        st.sampled_from([0.0, 0.5, 5.0]),  # how long its answer takes
        st.one_of(st.none(), st.sampled_from([0.0, 0.05, 0.6, 2.0])),  # when its client leaves
    ),
    max_size=15,
)
