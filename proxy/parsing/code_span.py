"""Inline code with a marker in it: text in any case, and for the log the calls that it would
have been.
"""

import re
from collections.abc import Sequence

from proxy.parsing.calls import ToolIndex
from proxy.parsing.event_buffer import EventBuffer
from proxy.parsing.grammar_runner import GrammarRunner, NamedGrammar
from proxy.parsing.reader import WORD_LIMIT, Reader, complete

LIMIT = 1 << 16
"""What is longer is counted as far as that."""


class CodeSpan:
    """Keeps the text of a span from its first marker on."""

    def __init__(self, tools: ToolIndex, grammars: Sequence[NamedGrammar]) -> None:
        self._tools, self._grammars = tools, grammars
        self._text: list[str] = []
        self._size = 0
        self._last = ""  # the last letters: the closing run may be among them
        self._closer: re.Pattern[str] | None = None

    def feed(self, text: str, run: int) -> bool:
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
        reader = Reader("".join(self._text))
        reader.end(cut=True)
        found = complete(
            GrammarRunner(EventBuffer(self._tools), reader).run_held(self._grammars, 0)
        )
        return found.count if found and found.events else 0
