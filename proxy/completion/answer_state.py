"""The text of an answer that has been sent, kept so that a recovered answer can be joined to it.

All answers share one memory budget. An answer that exceeds it keeps nothing and cannot be resumed.
"""

import sys
from dataclasses import dataclass

LIMIT = 8 * 1024 * 1024


@dataclass(slots=True)
class MemoryBudget:
    """The bytes that all answers in flight keep."""

    used: int = 0  # bytes


class AnswerState:
    """The kept text of one answer."""

    def __init__(self, budget: MemoryBudget | None) -> None:
        """Without a `budget` nothing is kept, and the answer cannot be resumed."""
        self.is_complete = budget is not None  # nothing was discarded
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
        """Free the kept text; the answer can no longer be resumed."""
        self.is_complete = False
        self._budget.used -= self._used
        self._used = 0
        for kept in self._lists.values():
            kept.clear()
        self._lists.clear()
