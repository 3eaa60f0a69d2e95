"""What stands around the next call: code, the beginning of its line, and its paragraph."""

import re
from typing import NamedTuple

from proxy.parsing.code_tracker import CodeTracker
from proxy.parsing.marker_index import MarkerIndex
from proxy.parsing.quoting import (
    BARE,
    CALL,
    OTHER_DIALECT,
    QuoteWatcher,
    is_quotation,
    line_rule,
    newline_after,
    watchers,
)

WINDOW = 512
"""So many letters of a paragraph are looked at."""
HEAD = 256
"""And so many of the beginning of a line."""
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")


class Judgement(NamedTuple):
    rule: str = ""  # a call here is text, by this rule
    watches: tuple[QuoteWatcher, ...] = ()  # or what follows it decides


class CallContext:
    """Follows a text that comes in pieces, and judges where a call stands in it."""

    def __init__(self, index: MarkerIndex) -> None:
        self.code = CodeTracker()
        self.last_char = "\n"
        self._index = index
        self._head = ""  # the beginning of a line that is longer than what is kept of the text
        self._kept: list[str] = []
        self._size = 0

    def feed(self, text: str) -> None:
        """Read on in the text; `QUOTED` stands for a refused call."""
        self.code.feed(text)
        self.last_char = text[-1]
        self._keep(text)

    def add_call(self, raw: str) -> None:
        """A call has been read; what is around it does not change by that."""
        self._keep(CALL + newline_after(raw))

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._size += len(text)
        if self._size > 4 * WINDOW:
            self._window()

    def reset(self) -> None:
        """A message begins here, or another part of one."""
        self._head, self._kept, self._size = "", [], 0

    def judge(self, opener: str, *, after_prose: bool) -> Judgement:
        """Judge a call that begins with this opener, here."""
        trust = self._index.trust(opener)
        if not self._index.has_quote_rules:
            return Judgement("", (QuoteWatcher.rest_of_line(BARE),) if trust.weak else ())
        line, text = self._before(opener)
        if rule := line_rule(line, trust, after_prose=after_prose):
            return Judgement(rule)
        found = watchers(EMPTY_LINE.split(text)[-1])
        if trust.foreign or trust.weak:
            found.append(QuoteWatcher.rest_of_line(OTHER_DIALECT if trust.foreign else BARE))
        return Judgement("", tuple(found))

    def _before(self, opener: str) -> tuple[str, str]:
        """Return the beginning of the line and the last letters of the text; a boundary in them
        begins a line, except in a quotation.
        """
        text = self._window()
        line = self._line(text)
        if is_quotation(line):
            return line, text
        behind = self._index.boundary.split(text)[-1]
        if behind != text:
            line = behind[behind.rfind("\n") + 1 :][:HEAD]
        return "" if opener in self._index.boundaries else line, behind

    def _window(self) -> str:
        text = "".join(self._kept)
        dropped, text = text[:-WINDOW], text[-WINDOW:]
        if "\n" in dropped:
            self._head, dropped = "", dropped[dropped.rfind("\n") + 1 :]
        self._head = (self._head + dropped)[:HEAD]
        self._kept, self._size = [text], len(text)
        return text

    def _line(self, window: str) -> str:
        line = window.rfind("\n") + 1
        return window[line:][:HEAD] if line else (self._head + window)[:HEAD]
