"""The life of the child: its states, what can happen to it, and the one table of what follows.

No clock and no I/O.

A death before READY counts, three in a row are FAILED. READY and dead before a single answer was
finished: a rest that doubles. A death after a finished answer is an accident: up again at once, and
all is forgiven.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

TRIES = 3
LONGEST_REST = 60


class State(Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTING = "resting"
    STOPPING = "stopping"
    FAILED = "failed"


def told(state: State, reason: str) -> str:
    """`is starting again: killed by SIGKILL`, as a person says it."""
    words = "has failed" if state is State.FAILED else f"is {state.value}"
    if not reason:
        return words
    return f"{words}{' again' if state is State.STARTING else ''}: {reason}"


class Happening(Enum):
    WANTED = auto()
    CAME_UP = auto()
    ANSWERED = auto()
    DIED = auto()
    CANNOT_START = auto()  # what it needs is not there: trying again at once is useless
    RENEWED = auto()
    RESTED = auto()
    STOP_ASKED = auto()
    GONE = auto()


@dataclass(frozen=True)
class Life:
    state: State = State.STOPPED
    reason: str = ""
    early_deaths: int = 0  # in a row, before READY
    idle_deaths: int = 0  # in a row, READY but nothing finished
    answered: bool = False  # did this child finish an answer?

    @property
    def rest(self) -> int:
        return min(1 << self.idle_deaths - 1, LONGEST_REST)

    def after(self, happening: Happening, reason: str = "") -> "Life":
        """What has no line in the table changes nothing: a late message must not disturb the
        next life.
        """
        step = TABLE.get((self.state, happening))
        return replace(step(self), reason=reason) if step else self


def _start(life: Life) -> Life:
    return replace(life, state=State.STARTING, answered=False)


def _ready(life: Life) -> Life:
    return replace(life, state=State.READY, early_deaths=0)


def _answered(life: Life) -> Life:
    return replace(life, answered=True, idle_deaths=0)


def _died_early(life: Life) -> Life:
    # FAILED keeps the count: the one try after it must not be three.
    deaths = life.early_deaths + 1
    return replace(
        life, state=State.FAILED if deaths >= TRIES else State.STARTING, early_deaths=deaths
    )


def _cannot_start(life: Life) -> Life:
    return replace(life, state=State.FAILED, early_deaths=TRIES)


def _died_ready(life: Life) -> Life:
    if life.answered:
        return _start(life)
    return replace(life, state=State.RESTING, idle_deaths=life.idle_deaths + 1)


def _stop(life: Life) -> Life:
    return replace(life, state=State.STOPPING)


def _stopped(_: Life) -> Life:
    return Life()


TABLE: dict[tuple[State, Happening], Callable[[Life], Life]] = {
    (State.STOPPED, Happening.WANTED): _start,
    (State.STARTING, Happening.CAME_UP): _ready,
    (State.STARTING, Happening.DIED): _died_early,
    (State.STARTING, Happening.CANNOT_START): _cannot_start,
    (State.STARTING, Happening.STOP_ASKED): _stop,
    (State.READY, Happening.ANSWERED): _answered,
    (State.READY, Happening.DIED): _died_ready,
    (State.READY, Happening.RENEWED): _start,
    (State.READY, Happening.STOP_ASKED): _stop,
    (State.RESTING, Happening.RESTED): _start,
    (State.RESTING, Happening.STOP_ASKED): _stop,
    (State.FAILED, Happening.WANTED): _start,
    (State.FAILED, Happening.STOP_ASKED): _stop,
    (State.STOPPING, Happening.GONE): _stopped,
}
