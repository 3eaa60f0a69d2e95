"""One request's hold on a model: its turn, the child's address, and its replacement when the
child ends.
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
    """Where turns are asked for."""

    def enter(self, ticket: Ticket, lease: "Lease") -> None: ...

    def leave(self, ticket: Ticket) -> None: ...


class Lease:
    """One request and the model that answers it.

    Its turn is waited for when the address is asked for the first time.
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
        # Tokens of its prompt, once it has its answer; 0 if they are not known.
        self._prompt_tokens: int | None = None

    async def ready(self) -> ProcessAddress:
        """Return the address of the ready child, once this request may run on it.

        CrashesModel if it crashed the child too often.
        """
        async with self._deadline():
            await self._wait_turn()
            await self.supervisor.suspects.enter(self._run)
        self._address = await self.supervisor.ensure_ready()
        return self._address

    async def load(self) -> None:
        """Wait for the turn and the ready child, without a request for it."""
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
                f"{self.model.name} did not come within {wait:g} s: {self._delay_reason}."
            ) from None

    async def _wait_turn(self) -> None:
        if not self._entered:
            self._entered = True
            self._tickets.enter(self._ticket, self)
        await self._ticket.granted.wait()
        if self._ticket.error is not None:
            raise self._ticket.error

    async def admit(self, reservation: Reservation) -> None:
        """Wait until the model is loaded, its KV cache holds the request beside all that run, and
        it may run beside them.

        `leave` releases it. A suspect waits last, with what it has reserved: a request that waited
        for its reservation while others wait for it to leave would never get one.
        """
        await self.load()
        facts, model = self.supervisor.engine_info, self.model
        tokens = model.cache or facts.context if model.shares_cache else None
        self._admission, self._reservation = self.supervisor.admission, reservation
        await self._admission.admit(reservation, Capacity(tokens, facts.slots))
        await self.ready()

    @property
    def waiting_reason(self) -> str | None:
        """Why the request waits for others on its model, in one line; None if it does not."""
        return (
            self._admission.waiting_reason(self._reservation)
            if self._admission is not None and self._reservation is not None
            else None
        )

    @property
    def _delay_reason(self) -> str:
        if self._ticket.granted.is_set():
            return "it crashed, and the requests that may be the cause run one at a time"
        state = self.supervisor.state
        return (
            "other models answer" if state is ProcessState.STOPPED else f"it is still {state.value}"
        )

    async def await_replacement(self, url: str) -> ProcessAddress:
        """Return the address of the child that replaces the one at `url`; raises as `ready`
        does.
        """
        await self.supervisor.wait_exit_noticed(url)
        return await self.ready()

    async def wait_for_restart(self) -> None:
        """As `elsewhere`, for the address that `ready` returned last."""
        assert self._address is not None  # where it asked
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
