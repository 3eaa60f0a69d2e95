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
from proxy.llama_server.config.model_config import Model
from proxy.llama_server.launch import Address
from proxy.llama_server.process.state import State
from proxy.llama_server.process.supervisor import Supervisor
from proxy.llama_server.scheduler import Ticket
from proxy.llama_server.suspects import Run


class Desk(Protocol):
    """Where turns are asked for."""

    def enter(self, ticket: Ticket, lease: "Lease") -> None: ...

    def leave(self, ticket: Ticket) -> None: ...


class Lease:
    """One request and the model that answers it.

    Its turn is waited for when the address is asked for the first time.
    """

    def __init__(
        self, keeper: Desk, model: Model, supervisor: Supervisor, ticket: Ticket, mark: str | None
    ) -> None:
        self.model, self.supervisor = model, supervisor
        self._keeper, self._ticket = keeper, ticket
        self._run = Run(mark)
        self._entered = False
        self._address: Address | None = None
        self._queue: AdmissionQueue | None = None
        self._reservation: Reservation | None = None
        # Tokens of its prompt, once it has its answer; 0 if they are not known.
        self._answered: int | None = None

    async def ready(self) -> Address:
        """Return the address of the ready child, once this request may run on it.

        KillsModel if it crashed the child too often.
        """
        async with self._patience():
            await self._turn()
            await self.supervisor.suspects.enter(self._run)
        self._address = await self.supervisor.ensure_ready()
        return self._address

    async def load(self) -> None:
        """Wait for the turn and the ready child, without a request for it."""
        async with self._patience():
            await self._turn()
        await self.supervisor.ensure_ready()

    @contextlib.asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        wait = self.supervisor.timings.wait
        try:
            async with asyncio.timeout(wait):
                yield
        except TimeoutError:
            raise ModelLoading(
                f"{self.model.name} did not come within {wait:g} s: {self._delay}."
            ) from None

    async def _turn(self) -> None:
        if not self._entered:
            self._entered = True
            self._keeper.enter(self._ticket, self)
        await self._ticket.called.wait()
        if self._ticket.error is not None:
            raise self._ticket.error

    async def admit(self, reservation: Reservation) -> None:
        """Wait until the model is loaded, its KV cache holds the request beside all that run, and
        it may run beside them.

        `leave` releases it. A suspect waits last, with what it has reserved: a request that waited
        for its reservation while others wait for it to leave would never get one.
        """
        await self.load()
        facts, model = self.supervisor.facts, self.model
        tokens = model.cache or facts.context if model.shares_cache else None
        self._queue, self._reservation = self.supervisor.admission, reservation
        await self._queue.admit(reservation, Capacity(tokens, facts.slots))
        await self.ready()

    @property
    def waits_for(self) -> str | None:
        """Why the request waits for others on its model, in one line; None if it does not."""
        return (
            self._queue.sentence(self._reservation)
            if self._queue is not None and self._reservation is not None
            else None
        )

    @property
    def _delay(self) -> str:
        if self._ticket.called.is_set():
            return "it crashed, and the requests that may be the cause run one at a time"
        state = self.supervisor.state
        return "other models answer" if state is State.STOPPED else f"it is still {state.value}"

    async def elsewhere(self, url: str) -> Address:
        """Return the address of the child that replaces the one at `url`; raises as `ready`
        does.
        """
        await self.supervisor.exit_noticed(url)
        return await self.ready()

    async def next_life(self) -> None:
        """As `elsewhere`, for the address that `ready` returned last."""
        assert self._address is not None  # where it asked
        await self.elsewhere(self._address.url)

    def answered(self, prompt: int = 0, cached: int = 0) -> None:
        self._answered = prompt
        self.supervisor.answered(prompt, cached)
        self.supervisor.suspects.finished(self._run)

    def leave(self) -> None:
        self.supervisor.suspects.leave(self._run)
        if self._queue is not None and self._reservation is not None:
            self._queue.leave(
                self._reservation, finished=self._answered is not None, tokens=self._answered or 0
            )
        if self._entered:
            self._keeper.leave(self._ticket)
