"""Inline code with a marker in it: text in any case, and for the log the calls that it would
have been.
"""

import re
from collections.abc import Sequence

from proxy.parsing.calls import Tools
from proxy.parsing.event_buffer import Desk
from proxy.parsing.grammar_runner import Attempts, Trial
from proxy.parsing.reader import WORD_LIMIT, Reader, complete

LIMIT = 1 << 16
"""What is longer is counted as far as that."""


class CodeSpan:
    """Keeps the text of a span from its first marker on."""

    def __init__(self, tools: Tools, trials: Sequence[Trial]) -> None:
        self._tools, self._trials = tools, trials
        self._text: list[str] = []
        self._size = 0
        self._last = ""  # the last letters: the closing run may be among them
        self._closer: re.Pattern[str] | None = None

    def see(self, text: str, run: int) -> bool:
        """Read on in the answer; `run` is how many backticks close the span.

        Return whether it is over.
        """
        closer = self._closer = self._closer or re.compile(
            rf"(?<!`)`{{{run}}}(?=[^`])|\n[ \t\r]*\n" if run else r"\n"
        )
        self._text.append(text)
        self._size += len(text)
        text = self._last + text
        self._last = text[-WORD_LIMIT:].lstrip("`")
        if found := closer.search(text):
            self._text = ["".join(self._text)[: found.start() - len(text)]]
        return found is not None or self._size > LIMIT

    def count(self) -> int:
        """Return how many calls the span would have been."""
        read = Reader("".join(self._text))
        read.end(cut=True)
        found = complete(Attempts(Desk(self._tools), read).held(self._trials, 0))
        return found.count if found and found.events else 0
