"""Context of the next call: the code around it, the start of its line, and its paragraph."""

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
"""Number of characters before a call that the quoting rules read."""
HEAD = 256
"""Number of characters at the start of a line that the quoting rules read."""
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")


class Judgement(NamedTuple):
    """Verdict on a possible call. If both fields are empty, it is a call."""

    rule: str = ""  # the rule that makes the call text; empty if none does
    watches: tuple[QuoteWatcher, ...] = ()  # watchers that decide by the text after the call


class CallContext:
    """Tracker of the text before the next call, which arrives in pieces."""

    def __init__(self, index: MarkerIndex) -> None:
        self.code = CodeTracker()
        self.last_char = "\n"
        self._index = index
        self._head = ""  # the start of the current line, if the kept text does not reach back to it
        self._kept: list[str] = []
        self._size = 0

    def feed(self, text: str) -> None:
        """Add text of the answer, with `QUOTED` in place of each refused call."""
        self.code.feed(text)
        self.last_char = text[-1]
        self._keep(text)

    def add_call(self, raw: str) -> None:
        """Add a placeholder for a call, which does not affect the code around it."""
        self._keep(CALL + newline_after(raw))

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._size += len(text)
        if self._size > 4 * WINDOW:
            self._window()

    def reset(self) -> None:
        """Forget the text so far, because a message or a part of one begins here."""
        self._head, self._kept, self._size = "", [], 0

    def judge(self, opener: str, *, after_prose: bool) -> Judgement:
        """Return whether a call that begins here with `opener` is text, or what decides that."""
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
        """Return the start of the current line, and the last characters of the text.

        A token that ends a message begins a new line, except in a quotation.
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
        """Drop all text but the last `WINDOW` characters, and return those."""
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
