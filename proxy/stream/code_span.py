"""Inline code with a marker in it: text in any case, and for the log the calls that it would have been."""

import re
from collections.abc import Sequence

from proxy.stream.attempt import Attempts, Trial
from proxy.stream.calls import Tools
from proxy.stream.code import Code
from proxy.stream.desk import Desk
from proxy.stream.reader import Reader, complete

LIMIT = 1 << 16
"""What is longer is not counted."""
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")


class CodeSpan:
    """Keeps the text of a span from its first marker on, to count the calls in it."""

    def __init__(self, tools: Tools, trials: Sequence[Trial]) -> None:
        self._tools, self._trials = tools, trials
        self._text: list[str] = []
        self._size = 0
        self._closer = EMPTY_LINE

    def see(self, text: str, code: Code) -> bool:
        """Read on in the answer. Return whether the span is over."""
        if not self._text and code.span:
            self._closer = re.compile(rf"(?<!`)`{{{code.span}}}(?!`)|{EMPTY_LINE.pattern}")
        self._text.append(text)
        self._size += len(text)
        return self._size > LIMIT or not code.inline

    def count(self) -> int:
        """Return how many calls the span would have been."""
        read = Reader(self._closer.split("".join(self._text), maxsplit=1)[0])
        read.end(cut=True)
        found = complete(Attempts(Desk(self._tools), read).held(self._trials, 0))
        return found.count if found and found.events else 0
