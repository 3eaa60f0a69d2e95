"""Lease of a model by one request.

The lease waits for its turn, provides the address of the process, and waits for the replacement if
the process exits.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.errors import ModelLoading
from proxy.llama_server.admission import Capacity, Reservation
from proxy.llama_server.admission_queue import AdmissionQueue
from proxy.llama_server.config.model_config import ModelConfig
from proxy.llama_server.launch import ProcessAddress
from proxy.llama_server.process.state import ProcessState
from proxy.llama_server.process.supervisor import Supervisor
from proxy.llama_server.scheduler import Ticket
from proxy.llama_server.suspects import SuspectRun


class TicketQueue(Protocol):
    """Queue in which a lease waits for its model."""

    def enter(self, ticket: Ticket, lease: "Lease") -> None: ...

    def leave(self, ticket: Ticket) -> None: ...


class Lease:
    """Right of one request to use a model.

    The request enters the queue for its model on the first call of `load`, `admit` or `ready`.
    """

    def __init__(
        self,
        tickets: TicketQueue,
        model: ModelConfig,
        supervisor: Supervisor,
        ticket: Ticket,
        fingerprint: str | None,
    ) -> None:
        self.model, self.supervisor = model, supervisor
        self._tickets, self._ticket = tickets, ticket
        self._run = SuspectRun(fingerprint)
        self._entered = False
        self._address: ProcessAddress | None = None
        self._admission: AdmissionQueue | None = None
        self._reservation: Reservation | None = None
        # Tokens of the prompt: None until the answer is complete, 0 if unknown.
        self._prompt_tokens: int | None = None

    async def ready(self) -> ProcessAddress:
        """Return the address of the ready process, once this request may use it.

        Raises CrashesModel if the request has crashed the process too often.
        """
        async with self._deadline():
            await self._wait_turn()
            await self.supervisor.suspects.enter(self._run)
        self._address = await self.supervisor.ensure_ready()
        return self._address

    async def load(self) -> None:
        """Wait until the model is loaded, without starting a request on it."""
        async with self._deadline():
            await self._wait_turn()
        await self.supervisor.ensure_ready()

    @contextlib.asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        wait = self.supervisor.timeouts.wait
        try:
            async with asyncio.timeout(wait):
                yield
        except TimeoutError:
            raise ModelLoading(
                f"{self.model.name} was not available within {wait:g} s: {self._delay_reason}"
            ) from None

    async def _wait_turn(self) -> None:
        if not self._entered:
            self._entered = True
            self._tickets.enter(self._ticket, self)
        await self._ticket.granted.wait()
        if self._ticket.error is not None:
            raise self._ticket.error

    async def admit(self, reservation: Reservation) -> None:
        """Wait until the model is loaded and the request fits into its KV cache.

        `release` frees the reservation. A suspect waits last, holding its reservation: otherwise it
        would wait for a reservation while others wait for it to finish.
        """
        await self.load()
        facts, model = self.supervisor.engine_info, self.model
        tokens = model.cache or facts.context if model.shares_cache else None
        self._admission, self._reservation = self.supervisor.admission, reservation
        await self._admission.admit(reservation, Capacity(tokens, facts.slots))
        await self.ready()

    @property
    def waiting_reason(self) -> str | None:
        """Return in one line why the request waits for others on its model, or None."""
        return (
            self._admission.waiting_reason(self._reservation)
            if self._admission is not None and self._reservation is not None
            else None
        )

    @property
    def _delay_reason(self) -> str:
        if self._ticket.granted.is_set():
            return "it crashed, and the suspected requests run one at a time"
        state = self.supervisor.state
        return (
            "other models are in use"
            if state is ProcessState.STOPPED
            else f"it is still {state.value}"
        )

    async def await_replacement(self, url: str) -> ProcessAddress:
        """Return the address of the process that replaces the one at `url`.

        Call this after a connection to `url` failed. Raises the same errors as `ready`.
        """
        await self.supervisor.wait_exit_noticed(url)
        return await self.ready()

    async def wait_for_restart(self) -> None:
        """Wait for the process that replaces the one that `ready` returned last."""
        assert self._address is not None  # `ready` was called
        await self.await_replacement(self._address.url)

    def record_answer(self, prompt: int = 0, cached: int = 0) -> None:
        self._prompt_tokens = prompt
        self.supervisor.record_answer(prompt, cached)
        self.supervisor.suspects.clear(self._run)

    def release(self) -> None:
        self.supervisor.suspects.leave(self._run)
        if self._admission is not None and self._reservation is not None:
            self._admission.leave(
                self._reservation,
                finished=self._prompt_tokens is not None,
                tokens=self._prompt_tokens or 0,
            )
        if self._entered:
            self._tickets.leave(self._ticket)
