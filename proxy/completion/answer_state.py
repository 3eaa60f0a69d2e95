"""What is kept of an answer while it leaves, so that the same answer, got another way, can be
joined to it.

All answers together may keep so much; one that finds no room keeps nothing, and its break is a
break.
"""

import sys
from dataclasses import dataclass

LIMIT = 8 * 1024 * 1024


@dataclass(slots=True)
class MemoryBudget:
    """For all answers that are under way."""

    used: int = 0  # bytes


class AnswerState:
    """Of one answer."""

    def __init__(self, budget: MemoryBudget | None) -> None:
        """Without a room nobody will ask for it."""
        self.is_complete = budget is not None  # nothing was forgotten
        self._budget = budget or MemoryBudget()
        self._used = 0
        self._lists: dict[int, list[str]] = {}

    def add(self, kept: list[str], text: str) -> None:
        if not self.is_complete:
            return
        size = sys.getsizeof(text)
        self._used += size
        self._budget.used += size
        self._lists[id(kept)] = kept
        kept.append(text)
        if self._budget.used > LIMIT:
            self.discard()

    def discard(self) -> None:
        """Nothing of it is of use any more."""
        self.is_complete = False
        self._budget.used -= self._used
        self._used = 0
        for kept in self._lists.values():
            kept.clear()
        self._lists.clear()
