"""What is kept of an answer while it leaves, so that the same answer, got another way, can be
joined to it.

All answers together may keep so much; one that finds no room keeps nothing, and its break is a
break.
"""

import sys
from dataclasses import dataclass

LIMIT = 8 * 1024 * 1024


@dataclass(slots=True)
class Room:
    """For all answers that are under way."""

    taken: int = 0  # bytes


class Keeping:
    """Of one answer."""

    def __init__(self, room: Room | None) -> None:
        """Without a room nobody will ask for it."""
        self.all = room is not None  # nothing was forgotten
        self._room = room or Room()
        self._taken = 0
        self._lists: dict[int, list[str]] = {}

    def add(self, kept: list[str], text: str) -> None:
        if not self.all:
            return
        size = sys.getsizeof(text)
        self._taken += size
        self._room.taken += size
        self._lists[id(kept)] = kept
        kept.append(text)
        if self._room.taken > LIMIT:
            self.forget()

    def forget(self) -> None:
        """Nothing of it is of use any more."""
        self.all = False
        self._room.taken -= self._taken
        self._taken = 0
        for kept in self._lists.values():
            kept.clear()
        self._lists.clear()
