"""The life as histories: what happened, and where that leads."""

import pytest
from hypothesis import strategies as st

from proxy.llama_server.process.state import TRANSITIONS, ProcessEvent, ProcessHistory, ProcessState

BEGIN, UP, SAID, DEATH, IMPOSSIBLE, RESTED, STOP, GONE = (
    ProcessEvent.START_REQUESTED,
    ProcessEvent.BECAME_READY,
    ProcessEvent.ANSWERED,
    ProcessEvent.EXITED,
    ProcessEvent.CANNOT_START,
    ProcessEvent.BACKOFF_OVER,
    ProcessEvent.STOP_REQUESTED,
    ProcessEvent.STOPPED,
)


def lived(*history: ProcessEvent) -> ProcessHistory:
    life = ProcessHistory()
    for happening in history:
        life = life.after(happening)
    return life


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([], ProcessState.STOPPED),
        ([BEGIN], ProcessState.STARTING),
        ([BEGIN, UP], ProcessState.READY),
        ([BEGIN, DEATH], ProcessState.STARTING),
        ([BEGIN, DEATH, DEATH], ProcessState.STARTING),
        ([BEGIN, DEATH, DEATH, DEATH], ProcessState.FAILED),
        # Not three in a row.
        ([BEGIN, DEATH, DEATH, UP, DEATH, RESTED, DEATH, DEATH], ProcessState.STARTING),
        ([BEGIN, DEATH, DEATH, DEATH, BEGIN], ProcessState.STARTING),
        ([BEGIN, DEATH, DEATH, DEATH, BEGIN, DEATH], ProcessState.FAILED),  # one try, not three
        ([BEGIN, DEATH, DEATH, DEATH, BEGIN, UP], ProcessState.READY),
        ([BEGIN, IMPOSSIBLE], ProcessState.FAILED),
        ([BEGIN, IMPOSSIBLE, BEGIN, DEATH], ProcessState.FAILED),
        ([BEGIN, IMPOSSIBLE, BEGIN, UP], ProcessState.READY),
        ([BEGIN, UP, IMPOSSIBLE], ProcessState.READY),
        ([BEGIN, UP, DEATH], ProcessState.BACKOFF),
        ([BEGIN, UP, DEATH, RESTED], ProcessState.STARTING),
        ([BEGIN, UP, SAID, DEATH], ProcessState.STARTING),
        # An answer counts for the child that gave it.
        ([BEGIN, UP, SAID, DEATH, UP, DEATH], ProcessState.BACKOFF),
        ([BEGIN, STOP], ProcessState.STOPPING),
        ([BEGIN, UP, STOP], ProcessState.STOPPING),
        ([BEGIN, UP, STOP, GONE], ProcessState.STOPPED),
        ([BEGIN, UP, DEATH, STOP], ProcessState.STOPPING),
        ([BEGIN, DEATH, DEATH, DEATH, STOP, GONE], ProcessState.STOPPED),
        ([STOP], ProcessState.STOPPED),
        ([DEATH], ProcessState.STOPPED),
        ([BEGIN, BEGIN], ProcessState.STARTING),
        ([BEGIN, UP, STOP, DEATH], ProcessState.STOPPING),
    ],
)
def test_what_follows(history: list[ProcessEvent], state: ProcessState) -> None:
    assert lived(*history).state is state


def test_backoff_doubles_up_to_a_minute_and_an_answer_resets_it() -> None:
    life, rests = lived(BEGIN), []
    for _ in range(8):
        life = life.after(UP).after(DEATH)
        rests.append(life.backoff)
        life = life.after(RESTED)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]
    assert life.after(UP).after(SAID).after(DEATH).after(UP).after(DEATH).backoff == 1


def test_a_stop_resets_the_history() -> None:
    assert lived(BEGIN, DEATH, DEATH, STOP, GONE) == ProcessHistory()


def test_the_reason_is_that_of_the_last_change() -> None:
    life = ProcessHistory().after(BEGIN).after(DEATH, "out of memory")
    assert life.reason == "out of memory"
    assert life.after(RESTED, "nothing").reason == "out of memory"


ANY = st.lists(st.sampled_from(ProcessEvent), max_size=60)
PROPER = st.lists(st.integers(0, 7), max_size=60)  # of what can happen in a state, each time one


def proper(choices: list[int]) -> list[ProcessEvent]:
    history: list[ProcessEvent] = []
    for choice in choices:
        possible = [happening for state, happening in TRANSITIONS if state is lived(*history).state]
        history.append(possible[choice % len(possible)])
    return history
