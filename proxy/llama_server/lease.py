"""One request's hold on a model: its turn, the child's address, and whether the child dies under it again and again."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from proxy.errors import KillsModel, ModelLoading
from proxy.llama_server.admission import Capacity, Reservation
from proxy.llama_server.admission_queue import AdmissionQueue
from proxy.llama_server.catalogue import Model
from proxy.llama_server.life import State
from proxy.llama_server.readiness import Address
from proxy.llama_server.supervisor import Supervisor
from proxy.llama_server.turns import Ticket

_REMEMBERED = 600.0  # seconds: so long a request that killed its model is known again
_FATAL = 2  # deaths


class Suspects:
    """Requests under which a child has died, by what they have in common when they are asked again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deaths: dict[str, tuple[int, float]] = {}

    def note(self, marks: Iterable[str | None]) -> None:
        """All that it worked on are suspects; an answer that comes whole clears one of them."""
        now = self._clock()
        self._deaths = {mark: told for mark, told in self._deaths.items() if now - told[1] < _REMEMBERED}
        for mark in filter(None, marks):
            self._deaths[mark] = (self._deaths.get(mark, (0, now))[0] + 1, now)

    def refuse(self, mark: str | None) -> None:
        deaths, at = self._deaths.get(mark or "", (0, 0.0))
        if deaths >= _FATAL and self._clock() - at < _REMEMBERED:
            raise KillsModel(f"the model server has died {deaths} times while it worked on this request. GET /logs tells why.")

    def forgive(self, mark: str | None) -> None:
        self._deaths.pop(mark or "", None)


class Desk(Protocol):
    """Where turns are asked for."""

    suspects: Suspects

    def enter(self, ticket: Ticket, lease: "Lease") -> None: ...

    def leave(self, ticket: Ticket) -> None: ...


class Lease:
    """One request and the model that answers it. Its turn is waited for when the address is asked for the first time."""

    def __init__(self, keeper: Desk, model: Model, supervisor: Supervisor, ticket: Ticket, mark: str | None) -> None:
        self.model, self.supervisor = model, supervisor
        self._keeper, self._ticket, self._mark = keeper, ticket, mark
        self._entered = False
        self._address: Address | None = None
        self._queue: AdmissionQueue | None = None
        self._reservation: Reservation | None = None
        self._answered: int | None = None  # tokens of its prompt, once it has its answer; 0 if they are not known

    async def ready(self) -> Address:
        wait = self.supervisor.timings.wait
        try:
            async with asyncio.timeout(wait):
                await self._turn()
        except TimeoutError:
            state = self.supervisor.state
            why = "other models answer" if state is State.STOPPED else f"it is still {state.value}"
            raise ModelLoading(f"{self.model.name} did not come within {wait:g} s: {why}.") from None
        self._address = await self.supervisor.ensure_ready()
        return self._address

    async def _turn(self) -> None:
        if not self._entered:
            self._entered = True
            self._keeper.enter(self._ticket, self)
        await self._ticket.called.wait()
        if self._ticket.error is not None:
            raise self._ticket.error

    async def admit(self, reservation: Reservation) -> None:
        """Wait until the model is loaded and its KV cache holds the request beside all that run. `leave` releases it."""
        await self.ready()
        facts, model = self.supervisor.facts, self.model
        tokens = model.cache or facts.context if model.shares_cache else None
        self._queue, self._reservation = self.supervisor.admission, reservation
        await self._queue.admit(reservation, Capacity(tokens, facts.slots))

    @property
    def waits_for(self) -> str | None:
        """Why the request waits for others on its model, in one line; None if it does not."""
        return self._queue.sentence(self._reservation) if self._queue is not None and self._reservation is not None else None

    @property
    def under_way(self) -> bool:
        """Whether the child works on it, as far as we know: not while it waits for others."""
        return self._address is not None and (self._reservation is None or self._reservation.admitted.is_set())

    @property
    def mark(self) -> str | None:
        return self._mark

    async def elsewhere(self, url: str) -> Address:
        """Nobody answered there: the child's next life. Not for a question that has killed it too often."""
        self._address = await self.supervisor.ensure_elsewhere(url)
        self._keeper.suspects.refuse(self._mark)
        return self._address

    async def next_life(self) -> None:
        """As `elsewhere`, for whom it was that asked last."""
        assert self._address is not None  # where it asked
        await self.elsewhere(self._address.url)

    def answered(self, prompt: int = 0, cached: int = 0) -> None:
        self._answered = prompt
        self.supervisor.answered(prompt, cached)
        self._keeper.suspects.forgive(self._mark)

    def leave(self) -> None:
        if self._queue is not None and self._reservation is not None:
            self._queue.leave(self._reservation, finished=self._answered is not None, tokens=self._answered or 0)
        if self._entered:
            self._keeper.leave(self._ticket)
