"""Whose turn is it?

Requests for several models that cannot all be loaded, as pure rules: no clock of its own and no
I/O.

A request for a loaded model is served at once, unless somebody has waited longer for another model
and this one has to leave for it. When a model has come, all who wait for it are served; so a swap
is paid for by as many as possible, and nobody waits longer than one round of the models that are
wanted. A model that answers is never sent away.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

ACTIVE_SECONDS = 300.0  # seconds after the last answer with tools: somebody works with this model


@dataclass(eq=False)
class Ticket:
    """One request."""

    model: str
    tools: bool = True
    # Its turn has come, or there is an error to tell.
    granted: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None


@dataclass(frozen=True)
class Swap:
    """These models go, then this one comes."""

    evict: tuple[str, ...]
    load: str


@dataclass(frozen=True)
class Rules:
    capacity: int = 1  # so many groups are loaded at once
    group: Callable[[str], str] = str  # models with the same answer stay and leave together
    evict_last: Callable[[str], bool] = lambda _: False  # sent away last


@dataclass
class Scheduler:
    rules: Rules
    waiting: list[Ticket] = field(default_factory=list)
    running: list[Ticket] = field(default_factory=list)
    loaded: dict[str, float] = field(default_factory=dict)  # when each was last of use
    # When each last gave an answer with tools.
    last_tool_answer: dict[str, float] = field(default_factory=dict)

    def is_busy(self, model: str) -> bool:
        return any(ticket.model == model for ticket in self.running)

    def is_wanted(self, model: str) -> bool:
        return self.is_busy(model) or any(ticket.model == model for ticket in self.waiting)

    def admit(self) -> list[Ticket]:
        """Those whose turn it is.

        Who would hold up one that came before and needs this model's place, waits.
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
        """For the first that waits for a model which is not there; None while its place is still
        in use.
        """
        first = self._first_unloaded()
        if first is None:
            return None
        evict = self._evictions_for(first)
        return None if any(self.is_busy(model) for model in evict) else Swap(evict, first)

    def mark_loaded(self, model: str, now: float) -> list[Ticket]:
        """It is loaded.

        Everybody who waits for it is served, also those behind somebody who wants yet another one.
        """
        self.loaded[model] = now
        granted = [ticket for ticket in self.waiting if ticket.model == model]
        self._grant(granted)
        return granted

    def fail_waiting(self, model: str, error: Exception) -> None:
        """Nobody who waits for it need wait any longer."""
        for ticket in [ticket for ticket in self.waiting if ticket.model == model]:
            self.waiting.remove(ticket)
            ticket.error = error
            ticket.granted.set()

    def mark_unloaded(self, model: str) -> None:
        self.loaded.pop(model, None)

    def finish(self, ticket: Ticket, now: float) -> None:
        """It has its answer, or does not want one any more."""
        if ticket in self.waiting:
            self.waiting.remove(ticket)
        elif ticket in self.running:
            self.running.remove(ticket)
            if ticket.model in self.loaded:
                self.loaded[ticket.model] = now
            if ticket.tools:
                self.last_tool_answer[ticket.model] = now

    def active_model(self, now: float) -> str | None:
        """The loaded model that somebody works with: a side request goes there."""
        working = {ticket.model for ticket in [*self.running, *self.waiting] if ticket.tools}
        recent = {model for model, at in self.last_tool_answer.items() if now - at < ACTIVE_SECONDS}
        candidates = [model for model in self.loaded if model in working | recent]
        return max(
            candidates, key=lambda model: (model in working, self.loaded[model]), default=None
        )

    def idle_models(
        self, now: float, idle_limit: Callable[[str], float | None]
    ) -> tuple[list[str], float | None]:
        """Those that nobody has needed for too long, and when to look again (seconds from now)."""
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
        """Which have to go: as few groups as make room, those that nobody answers with and that
        were used longest ago first.
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
