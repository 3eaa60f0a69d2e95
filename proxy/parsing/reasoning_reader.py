"""Thoughts, and the calls that models hide in them."""

from collections.abc import Sequence
from io import StringIO

from proxy.parsing.call_context import Surroundings
from proxy.parsing.event_buffer import Desk
from proxy.parsing.grammar_runner import Attempts
from proxy.parsing.marker_index import Look
from proxy.parsing.markers import compiled
from proxy.parsing.quoting import QUOTED, newline_behind
from proxy.parsing.reader import Reader, Steps


class Thinking:
    """Reads one block of thoughts, up to its closer or to the end.

    A call in there is held until the next thing that is no blank: another call joins it, more
    thinking makes it a rehearsal.
    """

    def __init__(self, desk: Desk, read: Reader, attempts: Attempts, look: Look) -> None:
        self._desk, self._read, self._attempts, self._trials = desk, read, attempts, look.trials
        self._around = Surroundings(look)
        self._blanks = StringIO()
        self._shown = False  # something of this block was shown
        self._joint = "\n"

    def block(
        self, closers: Sequence[str] = (), before: Sequence[str] = (), joint: str = "\n"
    ) -> Steps[None]:
        """Read one block.

        What comes before the next part of a message ends the thoughts too, but is left unread.

        `joint` stands between these thoughts and those before them.
        """
        self._joint = joint
        self._blanks, self._shown, self._desk.thought = StringIO(), False, True
        self._around.boundary()
        yield from self._read.take("\r\n", "\n")
        known = compiled((*closers, *before, *self._trials))
        while met := (yield from self._read.find(known, self._think)):
            if met in before and not self._around.code.inline:
                self._read.back(len(met))
                break
            if met in before:
                self._think(met)
            elif met not in closers:
                yield from self._call(met)
            elif self._around.last == "`" and (yield from self._read.next()) == "`":
                self._think(met)
            else:
                break
        if not self._desk.held_in_thoughts and self._shown:
            self._desk.think(_without_newline(self._blanks.getvalue()))

    def _call(self, opener: str) -> Steps[None]:
        if self._around.code.inline:
            self._think(opener)
            return
        self._read.back(len(opener))
        # What may follow is more thinking, and decides as that.
        rule = self._around.judge(opener, after_prose=self._shown).rule
        read = yield from self._attempts.held(
            self._trials[opener], self._desk.held_in_thoughts, opener
        )
        if read and read.events and (rule := rule or read.rule):
            self._desk.quoted[rule] += read.count
            self._think(read.raw, QUOTED + newline_behind(read.raw))
        elif read and read.events:
            self._desk.rehearse(self._blanks.getvalue() + read.raw, read.events)
            self._blanks = StringIO()
            self._around.called(read.raw)
        elif read:
            self._think(read.raw)
        else:
            self._read.drop(len(opener))
            self._think(opener)

    def _think(self, text: str, seen: str = "") -> None:
        """Blanks wait: at the edge, one newline belongs to the markup, and after a call they decide
        nothing.

        `seen` stands for the text where rules read it.
        """
        self._around.see(seen or text)
        core = text.rstrip()
        if core:
            self._show(core)
        self._blanks.write(text[len(core) :])
        if self._blanks.tell() + self._desk.held_in_thoughts > self._read.limit:
            blanks = self._blanks.getvalue()
            self._blanks = StringIO()
            shown = _without_newline(blanks)
            self._show(shown)
            self._blanks.write(blanks[len(shown) :])

    def _show(self, text: str) -> None:
        """Thoughts, behind the blanks that have waited."""
        if self._desk.held_in_thoughts:
            self._desk.rehearsed()
        elif not self._shown and self._desk.reasoned:
            self._desk.think(self._joint)
        self._shown = True
        self._desk.think(self._blanks.getvalue() + text)
        self._blanks = StringIO()


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
