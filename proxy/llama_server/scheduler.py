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

IN_USE = 300.0  # seconds after the last answer with tools: somebody works with this model


@dataclass(eq=False)
class Ticket:
    """One request."""

    model: str
    tools: bool = True
    # Its turn has come, or there is an error to tell.
    called: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None


@dataclass(frozen=True)
class Change:
    """These models go, then this one comes."""

    out: tuple[str, ...]
    into: str


@dataclass(frozen=True)
class Rules:
    room: int = 1  # so many groups are loaded at once
    together: Callable[[str], str] = str  # models with the same answer stay and leave together
    preferred: Callable[[str], bool] = lambda _: False  # sent away last


@dataclass
class Turns:
    rules: Rules
    waiting: list[Ticket] = field(default_factory=list)
    running: list[Ticket] = field(default_factory=list)
    loaded: dict[str, float] = field(default_factory=dict)  # when each was last of use
    # When each last gave an answer with tools.
    worked: dict[str, float] = field(default_factory=dict)

    def busy(self, model: str) -> bool:
        return any(ticket.model == model for ticket in self.running)

    def wanted(self, model: str) -> bool:
        return self.busy(model) or any(ticket.model == model for ticket in self.waiting)

    def admit(self) -> list[Ticket]:
        """Those whose turn it is.

        Who would hold up one that came before and needs this model's place, waits.
        """
        leaving = self._leaving()
        served = [
            ticket
            for ticket in self.waiting
            if ticket.model in self.loaded and ticket.model not in leaving
        ]
        self._serve(served)
        return served

    def next_change(self) -> Change | None:
        """For the first that waits for a model which is not there; None while its place is still
        in use.
        """
        first = self._first_without()
        if first is None:
            return None
        out = self._out_for(first)
        return None if any(self.busy(model) for model in out) else Change(out, first)

    def came(self, model: str, now: float) -> list[Ticket]:
        """It is loaded.

        Everybody who waits for it is served, also those behind somebody who wants yet another one.
        """
        self.loaded[model] = now
        served = [ticket for ticket in self.waiting if ticket.model == model]
        self._serve(served)
        return served

    def refuse(self, model: str, error: Exception) -> None:
        """Nobody who waits for it need wait any longer."""
        for ticket in [ticket for ticket in self.waiting if ticket.model == model]:
            self.waiting.remove(ticket)
            ticket.error = error
            ticket.called.set()

    def went(self, model: str) -> None:
        self.loaded.pop(model, None)

    def left(self, ticket: Ticket, now: float) -> None:
        """It has its answer, or does not want one any more."""
        if ticket in self.waiting:
            self.waiting.remove(ticket)
        elif ticket in self.running:
            self.running.remove(ticket)
            if ticket.model in self.loaded:
                self.loaded[ticket.model] = now
            if ticket.tools:
                self.worked[ticket.model] = now

    def in_use(self, now: float) -> str | None:
        """The loaded model that somebody works with: a side request goes there."""
        working = {ticket.model for ticket in [*self.running, *self.waiting] if ticket.tools}
        recent = {model for model, at in self.worked.items() if now - at < IN_USE}
        candidates = [model for model in self.loaded if model in working | recent]
        return max(
            candidates, key=lambda model: (model in working, self.loaded[model]), default=None
        )

    def idle(
        self, now: float, patience: Callable[[str], float | None]
    ) -> tuple[list[str], float | None]:
        """Those that nobody has needed for too long, and when to look again (seconds from now)."""
        tired: list[str] = []
        later: list[float] = []
        for model, used in self.loaded.items():
            limit = patience(model)
            if limit is None or self.wanted(model):
                continue
            left = used + limit - now
            if left <= 0:
                tired.append(model)
            else:
                later.append(left)
        return tired, min(later, default=None)

    def _serve(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            self.waiting.remove(ticket)
            self.running.append(ticket)
            ticket.called.set()

    def _first_without(self) -> str | None:
        return next(
            (ticket.model for ticket in self.waiting if ticket.model not in self.loaded), None
        )

    def _leaving(self) -> tuple[str, ...]:
        first = self._first_without()
        return self._out_for(first) if first is not None else ()

    def _out_for(self, model: str) -> tuple[str, ...]:
        """Which have to go: as few groups as make room, those that nobody answers with and that
        were used longest ago first.
        """
        together = self.rules.together
        groups = {together(other) for other in self.loaded} - {together(model)}
        excess = len(groups) + 1 - self.rules.room
        members = {
            group: [other for other in self.loaded if together(other) == group] for group in groups
        }

        def order(group: str) -> tuple[bool, bool, float]:
            inside = members[group]
            return (
                any(map(self.busy, inside)),
                any(map(self.rules.preferred, inside)),
                max(self.loaded[other] for other in inside),
            )

        going = sorted(groups, key=order)[: max(0, excess)]
        return tuple(other for group in going for other in members[group])
