"""Rules for which requests may share one KV cache at the same time; no clock, no I/O.

llama-server aborts every running request when a shared cache overflows. So a request starts only if
its prompt and its `max_tokens` fit beside those of all running requests; the others wait. The first
in the queue starts first, and a smaller request does not overtake it, or a large one would never
start. A request with tools goes before one without, at most `MAX_OVERTAKEN` times.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

MAX_OVERTAKEN = 2
SPARE_TOKENS = 64  # for speculative drafts, and for a continuation whose text is tokenized again


@dataclass(eq=False)
class Reservation:
    """The part of the cache that one request reserves."""

    # Counts the prompt; without it the whole cache is reserved.
    count: Callable[[], Awaitable[int | None]] | None = None
    output: int | None = None  # tokens; None: as many as fit
    tools: bool = False
    slots: int = 1
    session: str | None = None  # the same for all requests of a conversation
    prompt: int | None = None  # tokens, once counted
    uncountable: bool = False
    overtaken: int = 0
    # Set when the request may start, or when `error` must be raised.
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    @property
    def reserves_all(self) -> bool:
        return self.count is None or self.output is None or self.uncountable

    def tokens(self, capacity: int) -> int | None:
        """Return how many tokens are reserved, or None if the prompt has not been counted yet."""
        if self.reserves_all:
            return capacity
        if self.prompt is None or self.output is None:
            return None
        return min(capacity, self.prompt + self.output + SPARE_TOKENS)


@dataclass(frozen=True)
class Capacity:
    # Tokens of the cache that all slots share; None: each slot has its own cache.
    tokens: int | None = None
    slots: int | None = None


@dataclass
class Admission:
    capacity: Capacity = Capacity()
    waiting: list[Reservation] = field(default_factory=list)
    running: list[Reservation] = field(default_factory=list)
    # Their clients have disconnected, but the engine may still work on them.
    ending: list[Reservation] = field(default_factory=list)

    def enter(self, reservation: Reservation) -> None:
        self.waiting.append(reservation)
        self.admit()

    def admit(self) -> None:
        """Start the waiting requests that fit, in order."""
        while self.waiting and self._fits(first := self._first()):
            at = self.waiting.index(first)
            for passed in self.waiting[:at]:
                passed.overtaken += 1
            del self.waiting[at]
            self.running.append(first)
            first.admitted.set()

    def to_count(self, reservation: Reservation) -> list[Reservation]:
        """Return the requests whose prompts must be counted before `reservation` can be checked.

        `reservation` itself is the last one.
        """
        return [
            one
            for one in [*self.running, *self.ending, reservation]
            if self.capacity.tokens is not None
            and one.count is not None
            and one.prompt is None
            and not one.uncountable
        ]

    def leave(self, reservation: Reservation, *, finished: bool) -> bool:
        """End a reservation.

        Returns True if the answer was not finished. The reservation is then kept in `ending` until
        `free` is called.
        """
        kept = reservation in self.running and not finished
        if kept:
            self.ending.append(reservation)
        for requests in (self.waiting, self.running):
            if reservation in requests:
                requests.remove(reservation)
        self.admit()
        return kept

    def free(self, reservation: Reservation) -> None:
        self.ending.remove(reservation)
        self.admit()

    def reserved_tokens(self) -> int:
        """Return how many tokens running and ending requests reserve.

        A request whose prompt is not counted runs alone, and counts as 0.
        """
        total = self.capacity.tokens or 0
        return min(total, sum(one.tokens(total) or 0 for one in [*self.running, *self.ending]))

    def _first(self) -> Reservation:
        return next(
            (one for one in self.waiting if one.overtaken >= MAX_OVERTAKEN),
            next((one for one in self.waiting if one.tools), self.waiting[0]),
        )

    def _fits(self, reservation: Reservation) -> bool:
        """Return whether the request fits beside the running ones.

        A request alone always does: the engine itself refuses prompts that are too long.
        """
        others = [*self.running, *self.ending]
        if not others:
            return True
        slots, total = self.capacity.slots, self.capacity.tokens
        if slots is not None and sum(one.slots for one in others) + reservation.slots > slots:
            return False
        if total is None:
            return True
        reserved = [one.tokens(total) for one in [*others, reservation]]
        return (
            all(tokens is not None for tokens in reserved) and sum(filter(None, reserved)) <= total
        )
