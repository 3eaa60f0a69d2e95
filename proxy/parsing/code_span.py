"""Inline code that contains a marker.

Such code is always text. The calls that it contains are counted for the log.
"""

import re
from collections.abc import Sequence

from proxy.parsing.calls import ToolIndex
from proxy.parsing.event_buffer import EventBuffer
from proxy.parsing.grammar_runner import GrammarRunner, NamedGrammar
from proxy.parsing.reader import WORD_LIMIT, Reader, complete

LIMIT = 1 << 16
"""Number of characters of inline code in which calls are counted."""


class CodeSpan:
    """Collector of the text of an inline code span, from its first marker on."""

    def __init__(self, tools: ToolIndex, grammars: Sequence[NamedGrammar]) -> None:
        self._tools, self._grammars = tools, grammars
        self._text: list[str] = []
        self._size = 0
        self._last = ""  # the last characters, which may hold part of the closing run
        self._closer: re.Pattern[str] | None = None

    def feed(self, text: str, run: int) -> bool:
        """Add text of the answer. Return True when the span is over.

        `run` is the number of backticks that close the span, or 0 if the end of the line does.
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
        """Return how many calls the text of the span contains."""
        reader = Reader("".join(self._text))
        reader.end(cut=True)
        found = complete(
            GrammarRunner(EventBuffer(self._tools), reader).run_held(self._grammars, 0)
        )
        return found.count if found and found.events else 0
