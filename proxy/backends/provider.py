"""Interface to the server behind a backend: its address, its state and the leases of requests.

A managed server is one that this proxy starts. Its port changes with every start.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.backends.address import BackendAddress
from proxy.backends.models import ModelInfo


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """Properties of a request by which a provider with several models chooses one."""

    model: str | None = None
    tools: bool = False
    auxiliary: bool = False  # a chat without tools, such as a title or summary
    fingerprint: str | None = None  # equal if the client repeats the request


@dataclass(frozen=True, slots=True)
class ContextClaim:
    """Share of the context that a request claims before it is admitted."""

    # Returns the number of prompt tokens; if None, the request claims the whole context.
    count: Callable[[], Awaitable[int | None]] | None = None
    output: int | None = None  # maximum number of output tokens; None if unlimited
    tools: bool = False
    choices: int = 1
    session: str | None = None  # equal for all requests of a conversation


class ServerLog(Protocol):
    position: int  # number of lines written so far

    def since(self, position: int) -> Sequence[str]:
        """Return the lines that were written after the first `position` lines."""


class Provider(Protocol):
    async def address(self) -> BackendAddress:
        """Return the address of the server; if it is managed, wait until it is ready."""

    async def admit(self, claim: ContextClaim) -> None:
        """Wait until the context has room for the request beside those that are running.

        Only a managed server limits this. `release` frees the claimed context.
        """

    def waiting_reason(self) -> str | None:
        """Return in one line why the request has not been admitted yet, or None."""

    async def failover(self, refused: BackendAddress) -> BackendAddress | None:
        """Return the address to try next after a connection to `refused` failed, or None."""

    async def wait_for_restart(self) -> bool:
        """Wait for the server to restart after an answer broke off.

        Returns False if the answer cannot be requested again, as for a server that is not managed.
        """

    def unavailable_reason(self) -> str | None:
        """Return why the server cannot answer now, or None; sends no request."""

    def device(self) -> str | None:
        """Return the name of the device that the model runs on, or None if unknown."""

    def report_success(self, prompt: int = 0, cached: int = 0) -> None:
        """Record a completed answer.

        `prompt` is its number of prompt tokens, and `cached` how many of those were cached; 0 means
        unknown.
        """

    def acquire(self, route: RouteRequest) -> "Provider":
        """Return a provider for one request, which must be released with `release`."""

    def release(self) -> None:
        """Release what `acquire` and `admit` reserved; call it when the request has ended."""

    def model(self) -> str | None:
        """Return the name of the model that answers, or None if the request chooses the model."""

    def dialect(self) -> str | None:
        """Return the dialect that is configured for the model, or None."""

    def models(self) -> list[ModelInfo] | None:
        """Return all models, or None if only the server knows them."""

    def details(self) -> list[dict[str, Any]] | None:
        """Return the state of each model for `/health`, or None if the server is not managed."""

    def is_unloaded(self) -> bool:
        """Return whether no model is loaded, so that the next request has to load one."""

    def log(self) -> ServerLog | None:
        """Return the log of the server, or None if the server is not managed."""


@dataclass(frozen=True, slots=True)
class FixedProvider:
    """Provider for a server at a fixed address that this proxy does not manage."""

    target: BackendAddress

    async def address(self) -> BackendAddress:
        return self.target

    # Other clients may use the server as well, so only the server itself can limit requests.
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

    # Only a managed server uses this.
    def report_success(self, prompt: int = 0, cached: int = 0) -> None:  # noqa: ARG002
        return None

    # The server itself handles the choice of a model.
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
