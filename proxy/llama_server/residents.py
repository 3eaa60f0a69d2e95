"""Tracker of the conversations in the engine's slots, to know when to clear idle slots.

With a shared cache, llama-server copies the conversations of idle slots to RAM (`cache-ram`) and
clears the slots, but only after it has tried to restore the new request's conversation from RAM.
Two conversations that do not fit together would evict each other at every turn. A tiny request in
between clears the idle slots first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.llama_server.admission import Reservation

_LIMIT = 64  # conversations


@dataclass
class Residents:
    # Tokens of each conversation, the most recent last.
    sizes: dict[str, int | None] = field(default_factory=dict)
    # Conversations in the slots; None stands for requests without a session.
    held: set[str | None] = field(default_factory=set)

    def needs_room(
        self, reservation: Reservation, running: Sequence[Reservation], total: int
    ) -> bool:
        """Return whether idle slots must be cleared before this request starts.

        `running` are the requests that run at the same time; `total` is the size of the cache in
        tokens.
        """
        idle = self.held - {one.session for one in running}
        if reservation.slots > 1:
            return bool(idle)  # an additional choice may take a slot and discard its content
        if reservation.session in self.held or reservation.session not in self.sizes:
            return False
        reserved = sum(one.tokens(total) or total for one in running)
        return (
            bool(idle)
            and self._size(reservation.session, total)
            + sum(self._size(one, total) for one in idle)
            + reserved
            > total
        )

    def record_start(self, reservation: Reservation, running: Sequence[Reservation]) -> None:
        """Record that a request starts, which makes the engine clear all idle slots."""
        self.held = {reservation.session, *(one.session for one in running)}
        if reservation.session is not None:
            self._remember(reservation.session, self.sizes.get(reservation.session))

    def record_answer(self, session: str | None, tokens: int) -> None:
        """Record the size of a conversation; 0 means unknown."""
        if session is not None and tokens:
            self._remember(session, tokens)

    def _remember(self, session: str, tokens: int | None) -> None:
        self.sizes.pop(session, None)
        self.sizes[session] = tokens
        if len(self.sizes) > _LIMIT:
            del self.sizes[next(iter(self.sizes))]

    def _size(self, session: str | None, total: int) -> int:
        return self.sizes.get(session or "") or total
