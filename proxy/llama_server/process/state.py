"""The life of the child: its states, what can happen to it, and the one table of what follows.

No clock and no I/O.

A death before READY counts, three in a row are FAILED. READY and dead before a single answer was
finished: a rest that doubles. A death after a finished answer is an accident: up again at once, and
all is forgiven.
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
    """`is starting again: killed by SIGKILL`, as a person says it."""
    words = "has failed" if state is ProcessState.FAILED else f"is {state.value}"
    if not reason:
        return words
    return f"{words}{' again' if state is ProcessState.STARTING else ''}: {reason}"


class ProcessEvent(Enum):
    START_REQUESTED = auto()
    BECAME_READY = auto()
    ANSWERED = auto()
    EXITED = auto()
    CANNOT_START = auto()  # what it needs is not there: trying again at once is useless
    RESTART_REQUESTED = auto()
    BACKOFF_OVER = auto()
    STOP_REQUESTED = auto()
    STOPPED = auto()


@dataclass(frozen=True)
class ProcessHistory:
    state: ProcessState = ProcessState.STOPPED
    reason: str = ""
    early_exits: int = 0  # in a row, before READY
    idle_exits: int = 0  # in a row, READY but nothing finished
    answered: bool = False  # did this child finish an answer?

    @property
    def backoff(self) -> int:
        return min(1 << self.idle_exits - 1, MAX_BACKOFF)

    def after(self, event: ProcessEvent, reason: str = "") -> "ProcessHistory":
        """What has no line in the table changes nothing: a late message must not disturb the
        next life.
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
    # FAILED keeps the count: the one try after it must not be three.
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
