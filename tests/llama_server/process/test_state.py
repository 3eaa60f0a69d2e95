"""The life as histories: what happened, and where that leads."""

import pytest
from hypothesis import strategies as st

from proxy.llama_server.process.state import TABLE, Happening, Life, State

BEGIN, UP, SAID, DEATH, IMPOSSIBLE, RESTED, STOP, GONE = (
    Happening.WANTED,
    Happening.CAME_UP,
    Happening.ANSWERED,
    Happening.DIED,
    Happening.CANNOT_START,
    Happening.RESTED,
    Happening.STOP_ASKED,
    Happening.GONE,
)


def lived(*history: Happening) -> Life:
    life = Life()
    for happening in history:
        life = life.after(happening)
    return life


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([], State.STOPPED),
        ([BEGIN], State.STARTING),
        ([BEGIN, UP], State.READY),
        ([BEGIN, DEATH], State.STARTING),
        ([BEGIN, DEATH, DEATH], State.STARTING),
        ([BEGIN, DEATH, DEATH, DEATH], State.FAILED),
        # Not three in a row.
        ([BEGIN, DEATH, DEATH, UP, DEATH, RESTED, DEATH, DEATH], State.STARTING),
        ([BEGIN, DEATH, DEATH, DEATH, BEGIN], State.STARTING),
        ([BEGIN, DEATH, DEATH, DEATH, BEGIN, DEATH], State.FAILED),  # one try, not three
        ([BEGIN, DEATH, DEATH, DEATH, BEGIN, UP], State.READY),
        ([BEGIN, IMPOSSIBLE], State.FAILED),
        ([BEGIN, IMPOSSIBLE, BEGIN, DEATH], State.FAILED),
        ([BEGIN, IMPOSSIBLE, BEGIN, UP], State.READY),
        ([BEGIN, UP, IMPOSSIBLE], State.READY),
        ([BEGIN, UP, DEATH], State.RESTING),
        ([BEGIN, UP, DEATH, RESTED], State.STARTING),
        ([BEGIN, UP, SAID, DEATH], State.STARTING),
        # An answer counts for the child that gave it.
        ([BEGIN, UP, SAID, DEATH, UP, DEATH], State.RESTING),
        ([BEGIN, STOP], State.STOPPING),
        ([BEGIN, UP, STOP], State.STOPPING),
        ([BEGIN, UP, STOP, GONE], State.STOPPED),
        ([BEGIN, UP, DEATH, STOP], State.STOPPING),
        ([BEGIN, DEATH, DEATH, DEATH, STOP, GONE], State.STOPPED),
        ([STOP], State.STOPPED),
        ([DEATH], State.STOPPED),
        ([BEGIN, BEGIN], State.STARTING),
        ([BEGIN, UP, STOP, DEATH], State.STOPPING),
    ],
)
def test_what_follows(history: list[Happening], state: State) -> None:
    assert lived(*history).state is state


def test_rests_double_up_to_a_minute_and_an_answer_forgives_them_all() -> None:
    life, rests = lived(BEGIN), []
    for _ in range(8):
        life = life.after(UP).after(DEATH)
        rests.append(life.rest)
        life = life.after(RESTED)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]
    assert life.after(UP).after(SAID).after(DEATH).after(UP).after(DEATH).rest == 1


def test_a_stop_begins_a_new_life() -> None:
    assert lived(BEGIN, DEATH, DEATH, STOP, GONE) == Life()


def test_the_reason_is_that_of_the_last_change() -> None:
    life = Life().after(BEGIN).after(DEATH, "out of memory")
    assert life.reason == "out of memory"
    assert life.after(RESTED, "nothing").reason == "out of memory"


ANY = st.lists(st.sampled_from(Happening), max_size=60)
PROPER = st.lists(st.integers(0, 7), max_size=60)  # of what can happen in a state, each time one


def proper(choices: list[int]) -> list[Happening]:
    history: list[Happening] = []
    for choice in choices:
        possible = [happening for state, happening in TABLE if state is lived(*history).state]
        history.append(possible[choice % len(possible)])
    return history
