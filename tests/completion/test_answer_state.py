"""What is kept of answers for a rescue: all of them together have a limit, and what was
forgotten is not joined to anything.
"""

import pytest

from proxy.completion import answer_state
from proxy.completion.answer_state import AnswerState, MemoryBudget
from tests.backend import chunk, text
from tests.completion.one_choice import CALL, MADE, Told, native
from tests.completion.recovery import answers, ask, asked, gives_up, llama, refuses, watered
from tests.web.round_trip import failed


def test_all_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer_state.LIMIT == 8 * 1024 * 1024
    monkeypatch.setattr(answer_state, "LIMIT", 10_000)
    room = MemoryBudget()
    one, other = AnswerState(room), AnswerState(room)
    said: list[str] = []
    thought: list[str] = []
    one.add(said, "x" * 4_000)
    one.add(thought, "x" * 4_000)
    assert one.is_complete
    assert 8_000 < room.used < 10_000
    other.add([], "x" * 4_000)
    assert (other.is_complete, one.is_complete) == (False, True)
    one.add(said, "x" * 4_000)
    assert (one.is_complete, said, thought, room.used) == (False, [], [], 0)
    one.add(said, "more")
    assert (said, room.used) == ([], 0)


def test_nothing_is_kept_where_recovery_is_impossible() -> None:
    said: list[str] = []
    nothing = AnswerState(None)
    nothing.add(said, "x")
    assert (nothing.is_complete, said) == (False, [])


@pytest.mark.parametrize("limit", range(0, 1_500, 50))
def test_text_discarded_during_a_repetition_is_not_sent_twice(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told().text("So: ").says(*native('{"plant":"fern","li')).again()
    monkeypatch.setattr(answer_state, "LIMIT", limit)
    told.text("So: " + CALL, 3).ends()
    assert (told.content, told.calls, told.choice.diverged) == ("So: ", [MADE], False)


async def test_an_answer_that_found_no_room_breaks_as_it_broke(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [*text("So: "), chunk({})]
    road = llama(gives_up(*said), answers(), template=refuses())
    assert watered(await ask(road, streamed=True))
    monkeypatch.setattr(answer_state, "LIMIT", 1)
    road = llama(gives_up(*said), answers(), template=refuses())
    _, error = failed(await ask(road, streamed=True))
    assert "does not match the expected peg-native format" in error["message"]
    assert len(asked(road)) == 1
    assert road.app.app_state.memory_budget.used == 0
