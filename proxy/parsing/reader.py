"""Pull-style reader of pushed text.

A grammar reads as if the whole text were there. Where the text runs out, the generator pauses (a
bare `yield`) and continues when more text was pushed or the text has ended. Results depend on the
text alone, not on how it was cut: a match that more text could change waits for that text.
"""

import re
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from proxy.parsing.markers import Markers, compiled
from proxy.parsing.window import Window

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""Generator that pauses where it needs more text, and returns a value."""
Emit: TypeAlias = Callable[[str], object]

WORD_LIMIT = 256
"""Maximum length of a name, key or tag, and default limit of a lookahead."""

BLANKS = re.compile(r"\s*")
TAG = re.compile(r"<[^<>\n]{0,254}(?:>|(?=[<\n]))")
PARTIAL_TAG = re.compile(r"<[^<>\n]{0,254}|")


class Reader(Window):
    """Window on the text, with the operations that grammars use to read it."""

    __slots__ = ()

    def until(self, *markers: str, emit: Emit | None = None) -> Steps[str | None]:
        """Read up to and including the first marker; return it, or None if the text ended first."""
        return (yield from self.find(compiled(markers), emit))

    def find(self, known: Markers, emit: Emit | None = None) -> Steps[str | None]:
        """Like `until`, for a compiled set of markers."""
        while True:
            growing = self.may_grow()
            found = (known.growing if growing else known.ended).search(
                self._text, self._at, self._end
            )
            stop = found.start() if found else self._end
            if stop > self._at:
                if emit:
                    emit(self._text[self._at : stop])
                self._at = stop
            if found and (not growing or self._certain(found, known, self._end)):
                self._at = found.end()
                return found.group()
            if not growing:
                return None
            yield

    def find_inside(self, known: Markers, emit: Emit) -> Steps[str | None]:
        """Like `find`, for a text that a marker must close.

        If the text ends in a partial marker, that part is read, but not emitted.
        """
        while True:
            found = known.growing.search(self._text, self._at, self._end)
            whole = found is not None and self._certain(found, known, self._end)
            stop = found.start() if found else self._end
            if stop > self._at:
                emit(self._text[self._at : stop])
                self._at = stop
            if found and (whole or not self.may_grow()):
                self._at = found.end()
                return found.group() if found.group() in known.all else None
            if not self.may_grow():
                return None
            yield

    def at_end(self, known: Markers) -> Steps[bool]:
        """Return whether the text has ended, except for a partial marker, which is then read."""
        while True:
            found = known.growing.match(self._text, self._at, self._end)
            if self._at < self._end and (
                found is None or found.end() < self._end or found.group() in known.all
            ):
                return False
            if not self.may_grow():
                self._at = self._end
                return True
            yield

    def peek(self, *markers: str) -> Steps[str]:
        """Return the marker that comes next without reading it, or ""."""
        return (yield from self.match(compiled(markers)))

    def match(self, known: Markers) -> Steps[str]:
        """Like `peek`, for a compiled set of markers."""
        while known.all:
            growing = self.may_grow()
            found = (known.growing if growing else known.ended).match(
                self._text, self._at, self._end
            )
            if found is None:
                if self._at == self._end and growing:
                    yield
                    continue
                return ""
            if not growing or self._certain(found, known, self._end):
                return found.group()
            yield
        return ""

    @staticmethod
    def _certain(found: re.Match[str], known: Markers, end: int) -> bool:
        """Return whether a match is a complete marker that more text cannot turn into another."""
        word = found.group()
        return word in known.all and (found.end() < end or word not in known.shorter)

    def take(self, *markers: str) -> Steps[str]:
        """Read and return the marker that comes next, or ""."""
        found = yield from self.peek(*markers)
        self._at += len(found)
        return found

    def take_partial(self, *markers: str) -> Steps[str]:
        """Like `take`, but also read a partial marker at the end of the text."""
        found = yield from self.take(*markers)
        if not found:
            yield from self.at_end(compiled(markers))
        return found

    def advance(self, letters: int) -> None:
        """Skip characters that were peeked at."""
        self._at += letters

    def back(self, letters: int) -> None:
        """Unread the marker that was just read."""
        self._at -= letters

    def peek_char(self) -> Steps[str]:
        """Return the next character without reading it, or "" at the end."""
        while self._at == self._end:
            if not self.may_grow():
                return ""
            yield
        return self._text[self._at]

    def take_while(self, letters: re.Pattern[str], limit: int | None = None) -> Steps[str]:
        """Read all characters that match, up to a limit.

        The pattern repeats one class of characters and may match nothing.
        """
        limit = limit or self.limit
        text = ""
        while True:
            end = min(self._end, self._at + limit - len(text))
            found = letters.match(self._text, self._at, end)
            if found and found.end() > self._at:
                text += found.group()
                self._at = found.end()
            if self._at < self._end or not self.may_grow() or len(text) == limit:
                return text
            yield

    def skip_blanks(self) -> Steps[str]:
        """Read all whitespace."""
        return (yield from self.take_while(BLANKS))

    def peek_tag(self) -> Steps[str]:
        """Return the tag `<…>` that comes next without reading it, or "".

        An unclosed tag ends with its line.
        """
        while True:
            if found := TAG.match(self._text, self._at, self._end):
                return found.group()
            if not self.may_grow() or not PARTIAL_TAG.fullmatch(self._text, self._at, self._end):
                return ""
            yield

    def lookahead_to(self, begin: int, *ends: str) -> Steps[str]:
        """Return the text up to and including the first of `ends`, without reading it.

        The search starts after `begin` characters. If it finds nothing, return the visible text,
        at most `WORD_LIMIT` characters.
        """
        known = compiled(ends)
        while True:
            seen, more = self.lookahead()
            found = (known.growing if more else known.ended).search(seen, begin)
            if found and (not more or self._certain(found, known, len(seen))):
                return seen[: found.end()]
            if not more:
                return seen
            yield

    def lookahead(self, letters: int = WORD_LIMIT) -> tuple[str, bool]:
        """Return up to `letters` visible characters unread, and whether more could follow them."""
        seen = self._text[self._at : min(self._end, self._at + letters)]
        return seen, len(seen) < letters and self.may_grow()


def complete(steps: Steps[T]) -> T:
    """Run `steps` on a reader whose text has ended, and return the result."""
    try:
        next(steps)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("reader paused although its text has ended")
