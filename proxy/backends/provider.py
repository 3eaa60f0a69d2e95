"""Where a backend is at this moment.

Our own child must first be made ready, and has another port after each start.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.backends.address import BackendAddress
from proxy.backends.models import ModelInfo


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """What a request asks of a place that has several models."""

    model: str | None = None
    tools: bool = False
    auxiliary: bool = False  # a chat without tools: a title, a summary
    fingerprint: str | None = None  # the same for the same question asked again


@dataclass(frozen=True, slots=True)
class ContextClaim:
    """What a request takes of the model's context."""

    # Counts the tokens of the prompt; without it all of the context is taken.
    count: Callable[[], Awaitable[int | None]] | None = None
    output: int | None = None  # tokens; None: as many as there is room for
    tools: bool = False
    choices: int = 1
    session: str | None = None  # the same for all requests of one conversation


class ServerLog(Protocol):
    position: int  # so many lines

    def since(self, position: int) -> Sequence[str]:
        """What came after so many."""


class Provider(Protocol):
    async def address(self) -> BackendAddress:
        """Waits until somebody can answer there, where we can do something about it."""

    async def admit(self, claim: ContextClaim) -> None:
        """Wait until the request fits into the context beside those that run, where we start
        them all. `leave` releases it.
        """

    def waiting_reason(self) -> str | None:
        """Return why the request is not admitted yet, in one line."""

    async def failover(self, refused: BackendAddress) -> BackendAddress | None:
        """Nobody answered at that address: where to ask once more, if there is such a place."""

    async def wait_for_restart(self) -> bool:
        """An answer broke off: whether somebody else can be asked for the rest of it.

        Waits for that one.
        """

    def unavailable_reason(self) -> str | None:
        """Why nobody answers there now, as far as it is known without asking."""

    def device(self) -> str | None:
        """What the model runs on, as far as it is known."""

    def report_success(self, prompt: int = 0, cached: int = 0) -> None:
        """An answer was finished: whoever looks after the place may want to know, also how many
        tokens the question had and how many of them were known, where that was told."""

    def acquire(self, route: RouteRequest) -> "Provider":
        """Where this one request is answered. `leave` ends it."""

    def release(self) -> None:
        """The request has its answer, or does not want one any more."""

    def model(self) -> str | None:
        """The model that answers here, where that is not for the request to say."""

    def dialect(self) -> str | None:
        """How the model here writes calls, where somebody has said so."""

    def models(self) -> list[ModelInfo] | None:
        """All that can be asked for, where it is known without asking."""

    def details(self) -> list[dict[str, Any]] | None:
        """Each model's state, for /health."""

    def is_unloaded(self) -> bool:
        """Nothing is loaded, and the next request will load it."""

    def log(self) -> ServerLog | None:
        """What the server writes down, where we see it."""


@dataclass(frozen=True, slots=True)
class FixedProvider:
    """A server that somebody else looks after."""

    target: BackendAddress

    async def address(self) -> BackendAddress:
        return self.target

    # Others may use that server too: it has to see to that itself.
    async def admit(self, claim: ContextClaim) -> None:  # noqa: ARG002
        return None

    def waiting_reason(self) -> str | None:
        return None

    async def failover(self, _refused: BackendAddress) -> BackendAddress | None:
        return None

    async def wait_for_restart(self) -> bool:
        return False

    def unavailable_reason(self) -> str | None:
        return None

    def device(self) -> str | None:
        return None

    # Nobody here looks after it.
    def report_success(self, prompt: int = 0, cached: int = 0) -> None:  # noqa: ARG002
        return None

    # The server there has the models that it has.
    def acquire(self, route: RouteRequest) -> Provider:  # noqa: ARG002
        return self

    def release(self) -> None:
        return None

    def model(self) -> str | None:
        return None

    def models(self) -> list[ModelInfo] | None:
        return None

    def details(self) -> list[dict[str, Any]] | None:
        return None

    def is_unloaded(self) -> bool:
        return False

    def dialect(self) -> str | None:
        return None

    def log(self) -> ServerLog | None:
        return None
