"""Thoughts, and the calls that models hide in them."""

from collections.abc import Sequence

from proxy.stream.attempt import Attempts
from proxy.stream.desk import Desk
from proxy.stream.look import Look
from proxy.stream.markers import compiled
from proxy.stream.quoting import QUOTED, newline_behind
from proxy.stream.reader import Reader, Steps
from proxy.stream.surroundings import Surroundings


class Thinking:
    """Reads one block of thoughts, up to its closer or to the end.

    A call in there is held until the next thing that is no blank: another call joins it, more thinking makes it a rehearsal.
    """

    def __init__(self, desk: Desk, read: Reader, attempts: Attempts, look: Look) -> None:
        self._desk, self._read, self._attempts, self._trials = desk, read, attempts, look.trials
        self._around = Surroundings(look)
        self._blanks: list[str] = []
        self._shown = False  # something of this block was shown

    def block(self, closers: Sequence[str] = (), before: Sequence[str] = ()) -> Steps[None]:
        """What comes before the next part of a message ends the thoughts too, but is left unread."""
        self._blanks, self._shown, self._desk.thought = [], False, True
        self._around.boundary()
        yield from self._read.take("\r\n", "\n")
        known = compiled((*closers, *before, *self._trials))
        while met := (yield from self._read.find(known, self._think)):
            if met in before:
                self._read.back(len(met))
                break
            if met not in closers:
                yield from self._call(met)
            elif self._around.last == "`" and (yield from self._read.next()) == "`":
                self._think(met)
            else:
                break
        if not self._desk.held_in_thoughts and self._shown:
            self._desk.think("".join(self._blanks).removesuffix("\n").removesuffix("\r"))

    def _call(self, opener: str) -> Steps[None]:
        if self._around.code.inline:
            self._think(opener)
            return
        self._read.back(len(opener))
        rule = self._around.judge(opener, after_prose=self._shown).rule  # what may follow is more thinking, and decides as that
        read = yield from self._attempts.held(self._trials[opener], self._desk.held_in_thoughts, opener)
        if read and read.events and (rule := rule or read.rule):
            self._desk.quoted[rule] += read.count
            self._think(read.raw, QUOTED + newline_behind(read.raw))
        elif read and read.events:
            self._desk.rehearse("".join(self._blanks) + read.raw, read.events)
            self._blanks = []
            self._around.called(read.raw)
        elif read:
            self._think(read.raw)
        else:
            self._read.drop(len(opener))
            self._think(opener)

    def _think(self, text: str, seen: str = "") -> None:
        """Blanks wait: at the edge, one newline belongs to the markup, and after a call they decide nothing.

        `seen` stands for the text where rules read it.
        """
        self._around.see(seen or text)
        core = text.rstrip()
        if not core:
            self._blanks.append(text)
            return
        if self._desk.held_in_thoughts:
            self._desk.rehearsed()
        elif not self._shown and self._desk.reasoned:
            self._desk.think("\n")
        self._shown = True
        self._desk.think("".join(self._blanks) + core)
        self._blanks = [text[len(core) :]]
