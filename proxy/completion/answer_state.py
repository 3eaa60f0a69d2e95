"""Memory for the text of an answer, so that a recovered answer can be joined to what was sent.

All answers share one memory budget. An answer that exceeds the budget discards its text and can no
longer be resumed.
"""

import sys
from dataclasses import dataclass

LIMIT = 8 * 1024 * 1024


@dataclass(slots=True)
class MemoryBudget:
    """Memory that is used for the text of all answers in progress."""

    used: int = 0  # bytes


class AnswerState:
    """Text of one answer, which is kept until the answer ends or the budget is exceeded."""

    def __init__(self, budget: MemoryBudget | None) -> None:
        """Create the state; without a `budget`, no text is kept and the answer is not resumable."""
        self.is_complete = budget is not None  # whether all of the text is kept
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
