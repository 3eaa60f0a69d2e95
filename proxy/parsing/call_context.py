"""What stands around the next call: code, the beginning of its line, and its paragraph."""

import re
from typing import NamedTuple

from proxy.parsing.code_tracker import Code
from proxy.parsing.marker_index import Look
from proxy.parsing.quoting import (
    BARE,
    CALL,
    OTHER_DIALECT,
    Watch,
    is_quotation,
    line_rule,
    newline_behind,
    watches,
)

WINDOW = 512
"""So many letters of a paragraph are looked at."""
HEAD = 256
"""And so many of the beginning of a line."""
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")


class Judgement(NamedTuple):
    rule: str = ""  # a call here is text, by this rule
    watches: tuple[Watch, ...] = ()  # or what follows it decides


class Surroundings:
    """Follows a text that comes in pieces, and judges where a call stands in it."""

    def __init__(self, look: Look) -> None:
        self.code = Code()
        self.last = "\n"
        self._look = look
        self._head = ""  # the beginning of a line that is longer than what is kept of the text
        self._kept: list[str] = []
        self._size = 0

    def see(self, text: str) -> None:
        """Read on in the text; `QUOTED` stands for a refused call."""
        self.code.see(text)
        self.last = text[-1]
        self._keep(text)

    def called(self, raw: str) -> None:
        """A call has been read; what is around it does not change by that."""
        self._keep(CALL + newline_behind(raw))

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._size += len(text)
        if self._size > 4 * WINDOW:
            self._window()

    def boundary(self) -> None:
        """A message begins here, or another part of one."""
        self._head, self._kept, self._size = "", [], 0

    def judge(self, opener: str, *, after_prose: bool) -> Judgement:
        """Judge a call that begins with this opener, here."""
        standing = self._look.standing(opener)
        if not self._look.quoting:
            return Judgement("", (Watch.rest_of_line(BARE),) if standing.weak else ())
        line, text = self._before(opener)
        if rule := line_rule(line, standing, after_prose=after_prose):
            return Judgement(rule)
        found = watches(EMPTY_LINE.split(text)[-1])
        if standing.foreign or standing.weak:
            found.append(Watch.rest_of_line(OTHER_DIALECT if standing.foreign else BARE))
        return Judgement("", tuple(found))

    def _before(self, opener: str) -> tuple[str, str]:
        """Return the beginning of the line and the last letters of the text; a boundary in them
        begins a line, except in a quotation.
        """
        text = self._window()
        line = self._line(text)
        if is_quotation(line):
            return line, text
        behind = self._look.boundary.split(text)[-1]
        if behind != text:
            line = behind[behind.rfind("\n") + 1 :][:HEAD]
        return "" if opener in self._look.boundaries else line, behind

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
