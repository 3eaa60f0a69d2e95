"""Pull-style reading of pushed text.

A grammar reads as if the text lay there whole. Where it runs out, the generator pauses (a bare
`yield`) and goes on when more was pushed or the text has ended. Every answer depends on the text
alone, never on how it was cut: what more letters could still change waits.
"""

import re
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from proxy.parsing.markers import Markers, compiled
from proxy.parsing.window import Window

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""A computation that pauses where it needs more text."""
Emit: TypeAlias = Callable[[str], object]

WORD_LIMIT = 256
"""No name, key or tag is longer; a reader that waits for one looks no further."""

BLANKS = re.compile(r"\s*")
TAG = re.compile(r"<[^<>\n]{0,254}(?:>|(?=[<\n]))")
PARTIAL_TAG = re.compile(r"<[^<>\n]{0,254}|")


class Reader(Window):
    """What grammars do with a window on the text."""

    __slots__ = ()

    def until(self, *markers: str, emit: Emit | None = None) -> Steps[str | None]:
        """Up to the first marker, which is read too; None if the text ended first."""
        return (yield from self.find(compiled(markers), emit))

    def find(self, known: Markers, emit: Emit | None = None) -> Steps[str | None]:
        """The same for markers that are looked for again and again."""
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
        """The same in a text that must not end: half a marker at its very end is read, but is no
        part of it.
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
        """Whether nothing comes any more, or only half a marker, which is read."""
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
        """Which marker comes next, not read; empty if none does."""
        return (yield from self.match(compiled(markers)))

    def match(self, known: Markers) -> Steps[str]:
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
        word = found.group()
        return word in known.all and (found.end() < end or word not in known.shorter)

    def take(self, *markers: str) -> Steps[str]:
        """The marker that comes next, read; empty if none does."""
        found = yield from self.peek(*markers)
        self._at += len(found)
        return found

    def take_partial(self, *markers: str) -> Steps[str]:
        """The same where nothing else is meant: at the very end of the text half of one is read,
        too.
        """
        found = yield from self.take(*markers)
        if not found:
            yield from self.at_end(compiled(markers))
        return found

    def advance(self, letters: int) -> None:
        """Reads what was peeked at."""
        self._at += letters

    def back(self, letters: int) -> None:
        """Unreads the marker just read."""
        self._at -= letters

    def peek_char(self) -> Steps[str]:
        """The next letter, not read; empty at the end."""
        while self._at == self._end:
            if not self.may_grow():
                return ""
            yield
        return self._text[self._at]

    def take_while(self, letters: re.Pattern[str], limit: int | None = None) -> Steps[str]:
        """All letters that match, up to a limit; the pattern repeats one kind of letter and may
        match nothing.
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
        """All blanks."""
        return (yield from self.take_while(BLANKS))

    def peek_tag(self) -> Steps[str]:
        """The tag `<…>` that comes next, not read; empty if none does.

        One that is never closed ends with its line.
        """
        while True:
            if found := TAG.match(self._text, self._at, self._end):
                return found.group()
            if not self.may_grow() or not PARTIAL_TAG.fullmatch(self._text, self._at, self._end):
                return ""
            yield

    def lookahead_to(self, begin: int, *ends: str) -> Steps[str]:
        """What comes next up to the first of some markers, with it, not read; the search begins
        after so many letters.
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
        """What can be seen now, not read, and whether more text could lengthen it: for the few
        who must look ahead by hand.
        """
        seen = self._text[self._at : min(self._end, self._at + letters)]
        return seen, len(seen) < letters and self.may_grow()


def complete(steps: Steps[T]) -> T:
    """Runs a computation whose text is all there."""
    try:
        next(steps)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("paused although its text has ended")
