"""Provides the address of a backend and, for a managed server, the lease of each request.

A managed server must be started first, and has another port after each start.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.backends.address import BackendAddress
from proxy.backends.models import ModelInfo


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """What a request needs from a provider with several models."""

    model: str | None = None
    tools: bool = False
    auxiliary: bool = False  # a chat without tools, such as a title or summary
    fingerprint: str | None = None  # equal for a repeated request


@dataclass(frozen=True, slots=True)
class ContextClaim:
    """The part of the context that a request needs."""

    # Counts the tokens of the prompt; without it the request claims the whole context.
    count: Callable[[], Awaitable[int | None]] | None = None
    output: int | None = None  # tokens; None: as many as fit
    tools: bool = False
    choices: int = 1
    session: str | None = None  # equal for all requests of a conversation


class ServerLog(Protocol):
    position: int  # number of lines so far

    def since(self, position: int) -> Sequence[str]:
        """Return the lines after `position`."""


class Provider(Protocol):
    async def address(self) -> BackendAddress:
        """Return the address; a managed server is waited for until it is ready."""

    async def admit(self, claim: ContextClaim) -> None:
        """Wait until the request fits into the context beside the running ones.

        Only a managed server limits this. `release` frees the context.
        """

    def waiting_reason(self) -> str | None:
        """Return why the request is not admitted yet, in one line."""

    async def failover(self, refused: BackendAddress) -> BackendAddress | None:
        """Return the address to retry after a connection to `refused` failed, or None."""

    async def wait_for_restart(self) -> bool:
        """Wait for the restart after an answer broke off; return whether the answer can be
        requested again.
        """

    def unavailable_reason(self) -> str | None:
        """Return why the server cannot answer now, as far as known without asking it."""

    def device(self) -> str | None:
        """Return the device that the model runs on, if known."""

    def report_success(self, prompt: int = 0, cached: int = 0) -> None:
        """Record that an answer was completed, with its prompt tokens and the cached ones, if
        known.
        """

    def acquire(self, route: RouteRequest) -> "Provider":
        """Return the provider for one request; `release` ends it."""

    def release(self) -> None:
        """Release the lease of a request that has its answer or was cancelled."""

    def model(self) -> str | None:
        """Return the name of the model, if the request does not choose it."""

    def dialect(self) -> str | None:
        """Return the configured dialect of the model, if there is one."""

    def models(self) -> list[ModelInfo] | None:
        """Return all models, if known without asking the server."""

    def details(self) -> list[dict[str, Any]] | None:
        """Return the state of each model, for `/health`."""

    def is_unloaded(self) -> bool:
        """Return whether nothing is loaded, and the next request will load a model."""

    def log(self) -> ServerLog | None:
        """Return the output of the server, if it is managed."""


@dataclass(frozen=True, slots=True)
class FixedProvider:
    """Provider for a server at a fixed address, which llama-bridge does not manage."""

    target: BackendAddress

    async def address(self) -> BackendAddress:
        return self.target

    # Other clients may use the server too, so it must limit itself.
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

    # There is nothing to manage.
    def report_success(self, prompt: int = 0, cached: int = 0) -> None:  # noqa: ARG002
        return None

    # The server chooses its model itself.
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
