"""State machine of a managed process, written as a table, without clock or I/O.

An exit before READY counts, and three in a row lead to FAILED. After an exit while READY without a
finished answer, the process restarts with a backoff that doubles. After a finished answer it
restarts immediately, and all counters are reset.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

MAX_EARLY_EXITS = 3
MAX_BACKOFF = 60


class ProcessState(Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "resting"
    STOPPING = "stopping"
    FAILED = "failed"


def describe(state: ProcessState, reason: str) -> str:
    """Return the state in words, such as `is starting again: killed by SIGKILL`."""
    words = "has failed" if state is ProcessState.FAILED else f"is {state.value}"
    if not reason:
        return words
    return f"{words}{' again' if state is ProcessState.STARTING else ''}: {reason}"


class ProcessEvent(Enum):
    START_REQUESTED = auto()
    BECAME_READY = auto()
    ANSWERED = auto()
    EXITED = auto()
    CANNOT_START = auto()  # something required is missing, so an immediate retry is useless
    RESTART_REQUESTED = auto()
    BACKOFF_OVER = auto()
    STOP_REQUESTED = auto()
    STOPPED = auto()


@dataclass(frozen=True)
class ProcessHistory:
    state: ProcessState = ProcessState.STOPPED
    reason: str = ""
    early_exits: int = 0  # in a row, before READY
    idle_exits: int = 0  # in a row, READY without a finished answer
    answered: bool = False  # the current process has finished an answer

    @property
    def backoff(self) -> int:
        return min(1 << self.idle_exits - 1, MAX_BACKOFF)

    def after(self, event: ProcessEvent, reason: str = "") -> "ProcessHistory":
        """Return the history after `event`.

        An event without a transition changes nothing: a late event must not affect the next
        process.
        """
        step = TRANSITIONS.get((self.state, event))
        return replace(step(self), reason=reason) if step else self


def _start(history: ProcessHistory) -> ProcessHistory:
    return replace(history, state=ProcessState.STARTING, answered=False)


def _ready(history: ProcessHistory) -> ProcessHistory:
    return replace(history, state=ProcessState.READY, early_exits=0)


def _answered(history: ProcessHistory) -> ProcessHistory:
    return replace(history, answered=True, idle_exits=0)


def _exited_early(history: ProcessHistory) -> ProcessHistory:
    # FAILED keeps the count, so that a retry is a single attempt.
    exits = history.early_exits + 1
    return replace(
        history,
        state=ProcessState.FAILED if exits >= MAX_EARLY_EXITS else ProcessState.STARTING,
        early_exits=exits,
    )


def _cannot_start(history: ProcessHistory) -> ProcessHistory:
    return replace(history, state=ProcessState.FAILED, early_exits=MAX_EARLY_EXITS)


def _exited_ready(history: ProcessHistory) -> ProcessHistory:
    if history.answered:
        return _start(history)
    return replace(history, state=ProcessState.BACKOFF, idle_exits=history.idle_exits + 1)


def _stop(history: ProcessHistory) -> ProcessHistory:
    return replace(history, state=ProcessState.STOPPING)


def _stopped(_: ProcessHistory) -> ProcessHistory:
    return ProcessHistory()


TRANSITIONS: dict[tuple[ProcessState, ProcessEvent], Callable[[ProcessHistory], ProcessHistory]] = {
    (ProcessState.STOPPED, ProcessEvent.START_REQUESTED): _start,
    (ProcessState.STARTING, ProcessEvent.BECAME_READY): _ready,
    (ProcessState.STARTING, ProcessEvent.EXITED): _exited_early,
    (ProcessState.STARTING, ProcessEvent.CANNOT_START): _cannot_start,
    (ProcessState.STARTING, ProcessEvent.STOP_REQUESTED): _stop,
    (ProcessState.READY, ProcessEvent.ANSWERED): _answered,
    (ProcessState.READY, ProcessEvent.EXITED): _exited_ready,
    (ProcessState.READY, ProcessEvent.RESTART_REQUESTED): _start,
    (ProcessState.READY, ProcessEvent.STOP_REQUESTED): _stop,
    (ProcessState.BACKOFF, ProcessEvent.BACKOFF_OVER): _start,
    (ProcessState.BACKOFF, ProcessEvent.STOP_REQUESTED): _stop,
    (ProcessState.FAILED, ProcessEvent.START_REQUESTED): _start,
    (ProcessState.FAILED, ProcessEvent.STOP_REQUESTED): _stop,
    (ProcessState.STOPPING, ProcessEvent.STOPPED): _stopped,
}
