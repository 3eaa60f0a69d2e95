"""Where a backend is at this moment.

Our own child must first be made ready, and has another port after each start.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.backends.address import Address
from proxy.backends.models import Model


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks of a place that has several models."""

    model: str | None = None
    tools: bool = False
    side: bool = False  # a chat without tools: a title, a summary
    mark: str | None = None  # the same for the same question asked again


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request takes of the model's context."""

    # Counts the tokens of the prompt; without it all of the context is taken.
    count: Callable[[], Awaitable[int | None]] | None = None
    output: int | None = None  # tokens; None: as many as there is room for
    tools: bool = False
    choices: int = 1
    session: str | None = None  # the same for all requests of one conversation


class ServerLog(Protocol):
    written: int  # so many lines

    def since(self, written: int) -> Sequence[str]:
        """What came after so many."""


class Place(Protocol):
    async def address(self) -> Address:
        """Waits until somebody can answer there, where we can do something about it."""

    async def admit(self, claim: Claim) -> None:
        """Wait until the request fits into the context beside those that run, where we start
        them all. `leave` releases it.
        """

    def waits_for(self) -> str | None:
        """Return why the request is not admitted yet, in one line."""

    async def after(self, refused: Address) -> Address | None:
        """Nobody answered at that address: where to ask once more, if there is such a place."""

    async def next_life(self) -> bool:
        """An answer broke off: whether somebody else can be asked for the rest of it.

        Waits for that one.
        """

    def not_ready(self) -> str | None:
        """Why nobody answers there now, as far as it is known without asking."""

    def device(self) -> str | None:
        """What the model runs on, as far as it is known."""

    def answered(self, prompt: int = 0, cached: int = 0) -> None:
        """An answer was finished: whoever looks after the place may want to know, also how many
        tokens the question had and how many of them were known, where that was told."""

    def at(self, wish: Wish) -> "Place":
        """Where this one request is answered. `leave` ends it."""

    def leave(self) -> None:
        """The request has its answer, or does not want one any more."""

    def model(self) -> str | None:
        """The model that answers here, where that is not for the request to say."""

    def dialect(self) -> str | None:
        """How the model here writes calls, where somebody has said so."""

    def models(self) -> list[Model] | None:
        """All that can be asked for, where it is known without asking."""

    def details(self) -> list[dict[str, Any]] | None:
        """Each model's state, for /health."""

    def asleep(self) -> bool:
        """Nothing is loaded, and the next request will load it."""

    def log(self) -> ServerLog | None:
        """What the server writes down, where we see it."""


@dataclass(frozen=True, slots=True)
class Named:
    """A server that somebody else looks after."""

    named: Address

    async def address(self) -> Address:
        return self.named

    # Others may use that server too: it has to see to that itself.
    async def admit(self, claim: Claim) -> None:  # noqa: ARG002
        return None

    def waits_for(self) -> str | None:
        return None

    async def after(self, _refused: Address) -> Address | None:
        return None

    async def next_life(self) -> bool:
        return False

    def not_ready(self) -> str | None:
        return None

    def device(self) -> str | None:
        return None

    # Nobody here looks after it.
    def answered(self, prompt: int = 0, cached: int = 0) -> None:  # noqa: ARG002
        return None

    def at(self, wish: Wish) -> Place:  # noqa: ARG002 the server there has the models that it has
        return self

    def leave(self) -> None:
        return None

    def model(self) -> str | None:
        return None

    def models(self) -> list[Model] | None:
        return None

    def details(self) -> list[dict[str, Any]] | None:
        return None

    def asleep(self) -> bool:
        return False

    def dialect(self) -> str | None:
        return None

    def log(self) -> ServerLog | None:
        return None
