"""Rules that order requests for models that do not all fit into memory; no clock, no I/O.

A request for a loaded model is served at once, unless an earlier request needs another model in its
place. When a model is loaded, all requests that wait for it are served, so a swap serves as many as
possible, and no request waits longer than one round of the requested models. A model that is
answering is never evicted.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

ACTIVE_SECONDS = 300.0  # after the last answer with tools, a model counts as in use


@dataclass(eq=False)
class Ticket:
    """Place of one request in the queue."""

    model: str
    tools: bool = True
    # Set when its turn has come, or when `error` must be raised.
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None


@dataclass(frozen=True)
class Swap:
    """Models to evict, and the model to load in their place."""

    evict: tuple[str, ...]
    load: str


@dataclass(frozen=True)
class Rules:
    capacity: int = 1  # number of groups that are loaded at once
    group: Callable[[str], str] = str  # models of one group are loaded and evicted together
    evict_last: Callable[[str], bool] = lambda _: False  # evict these last


@dataclass
class Scheduler:
    rules: Rules
    waiting: list[Ticket] = field(default_factory=list)
    running: list[Ticket] = field(default_factory=list)
    loaded: dict[str, float] = field(default_factory=dict)  # model → time of last use
    # Time of the last answer with tools.
    last_tool_answer: dict[str, float] = field(default_factory=dict)

    def is_busy(self, model: str) -> bool:
        return any(ticket.model == model for ticket in self.running)

    def is_wanted(self, model: str) -> bool:
        return self.is_busy(model) or any(ticket.model == model for ticket in self.waiting)

    def admit(self) -> list[Ticket]:
        """Grant the requests that may run, and return them.

        A request waits if it would delay an earlier one that needs its model's place.
        """
        evicting = self._evicting()
        granted = [
            ticket
            for ticket in self.waiting
            if ticket.model in self.loaded and ticket.model not in evicting
        ]
        self._grant(granted)
        return granted

    def next_swap(self) -> Swap | None:
        """Return the swap for the first request whose model is not loaded.

        None if there is no such request, or while a model to evict is busy.
        """
        first = self._first_unloaded()
        if first is None:
            return None
        evict = self._evictions_for(first)
        return None if any(self.is_busy(model) for model in evict) else Swap(evict, first)

    def mark_loaded(self, model: str, now: float) -> list[Ticket]:
        """Mark a model as loaded, and grant and return all requests that wait for it."""
        self.loaded[model] = now
        granted = [ticket for ticket in self.waiting if ticket.model == model]
        self._grant(granted)
        return granted

    def fail_waiting(self, model: str, error: Exception) -> None:
        """Fail all requests that wait for `model`."""
        for ticket in [ticket for ticket in self.waiting if ticket.model == model]:
            self.waiting.remove(ticket)
            ticket.error = error
            ticket.granted.set()

    def mark_unloaded(self, model: str) -> None:
        self.loaded.pop(model, None)

    def finish(self, ticket: Ticket, now: float) -> None:
        """Remove a request that is finished or was cancelled."""
        if ticket in self.waiting:
            self.waiting.remove(ticket)
        elif ticket in self.running:
            self.running.remove(ticket)
            if ticket.model in self.loaded:
                self.loaded[ticket.model] = now
            if ticket.tools:
                self.last_tool_answer[ticket.model] = now

    def active_model(self, now: float) -> str | None:
        """Return the loaded model that is in use, for auxiliary requests."""
        working = {ticket.model for ticket in [*self.running, *self.waiting] if ticket.tools}
        recent = {model for model, at in self.last_tool_answer.items() if now - at < ACTIVE_SECONDS}
        candidates = [model for model in self.loaded if model in working | recent]
        return max(
            candidates, key=lambda model: (model in working, self.loaded[model]), default=None
        )

    def idle_models(
        self, now: float, idle_limit: Callable[[str], float | None]
    ) -> tuple[list[str], float | None]:
        """Return the models that have been idle for too long.

        The second value is the number of seconds until the next model expires, or None.
        """
        expired: list[str] = []
        later: list[float] = []
        for model, used in self.loaded.items():
            limit = idle_limit(model)
            if limit is None or self.is_wanted(model):
                continue
            left = used + limit - now
            if left <= 0:
                expired.append(model)
            else:
                later.append(left)
        return expired, min(later, default=None)

    def _grant(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            self.waiting.remove(ticket)
            self.running.append(ticket)
            ticket.granted.set()

    def _first_unloaded(self) -> str | None:
        return next(
            (ticket.model for ticket in self.waiting if ticket.model not in self.loaded), None
        )

    def _evicting(self) -> tuple[str, ...]:
        first = self._first_unloaded()
        return self._evictions_for(first) if first is not None else ()

    def _evictions_for(self, model: str) -> tuple[str, ...]:
        """Return the models to evict so that `model` can be loaded.

        As few groups as needed are evicted, idle and least recently used ones first.
        """
        group_of = self.rules.group
        groups = {group_of(other) for other in self.loaded} - {group_of(model)}
        excess = len(groups) + 1 - self.rules.capacity
        members = {
            group: [other for other in self.loaded if group_of(other) == group] for group in groups
        }

        def order(group: str) -> tuple[bool, bool, float]:
            inside = members[group]
            return (
                any(map(self.is_busy, inside)),
                any(map(self.rules.evict_last, inside)),
                max(self.loaded[other] for other in inside),
            )

        evicted = sorted(groups, key=order)[: max(0, excess)]
        return tuple(other for group in evicted for other in members[group])
