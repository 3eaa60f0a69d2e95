"""Calls of an answer that may still turn out to be text: in code, quoted, or bare."""

from collections.abc import Iterable, Sequence

from proxy.parsing.code_tracker import Code
from proxy.parsing.event_buffer import Desk, Held
from proxy.parsing.events import Content, TextEvent
from proxy.parsing.quoting import BARE, CODE, Watch, newline_behind


class Holding:
    """Holds what follows the first such call, too, until it is decided; everything else leaves at
    once.

    What decides is the code around the calls, whether they are the whole message, or what a rule
    watches for behind them.
    """

    def __init__(self, desk: Desk, code: Code, limit: int) -> None:
        self._desk, self._code, self._limit = desk, code, limit
        self._held: Held | None = None
        # What is held may be the whole message: bare calls, or a fence around calls, and nothing
        # else.
        self.entire = False
        self.closed = False  # the fence is closed, or there is none
        self._bare = False
        self._line_blank = True

    def __bool__(self) -> bool:
        return self._held is not None

    @property
    def size(self) -> int:
        return self._held.size if self._held else 0

    @property
    def is_watched(self) -> bool:
        return self._held is not None and bool(self._held.watches)

    @property
    def in_closed_fence(self) -> bool:
        return self.closed and not self._bare

    def fence(self, line: str) -> None:
        """A fence opens with this line, and may be the whole message."""
        self.begin().add(line, ())
        self.entire, self.closed, self._line_blank = True, False, True

    def bare(self) -> None:
        """Bare calls follow: they are calls if they are the whole message."""
        if self._held is None:
            self.begin()
            self.entire = self.closed = self._bare = self._line_blank = True

    def begin(self) -> Held:
        self._held = self._held or Held()
        return self._held

    def call(self, raw: str, events: Sequence[TextEvent], watches: Iterable[Watch]) -> None:
        """A call: it leaves, unless something is held, or has to be watched for."""
        watches = tuple(watches)
        if watches and (self._held is None or self._held.watches):
            self.begin().watches.add(watches)
        if self._held is not None:
            self._held.add(raw, events)
            if newline := newline_behind(raw):
                self.watch(newline)
        elif events:
            self._desk.call(events)

    def show(self, text: str, seen: str) -> None:
        """Text of the answer; `seen` stands for it where rules read it."""
        if self._held is None:
            self._desk.say(text)
            return
        self._held.add(text, [Content(text)])
        if self._held.watches:
            self.watch(seen)
        elif text.strip():
            self._line_blank = False
            if self.closed or not self._held.count:
                self.release(BARE if self._bare else CODE)
        if self.size > self._limit:
            self.release()

    def add_silent(self, raw: str) -> None:
        """What says nothing if the calls are calls."""
        if self._held is not None:
            self._held.add(raw, ())

    def watch(self, seen: str) -> None:
        """Read on behind calls that may be quoted."""
        if self._held is not None and self._held.watches:
            self._decide(self._held.watches.see(seen))

    def boundary(self) -> None:
        """A part of the message is over: what a rule watches for does not follow in it."""
        if self._held is not None and self._held.watches:
            self._decide(self._held.watches.end(cut=False))

    def _decide(self, rule: str | None) -> None:
        if rule:
            self.release(rule)
        elif rule is not None:
            held, self._held = self.begin(), None
            self._desk.call(held.events)

    def line(self) -> bool:
        """A line is complete: it may have closed the fence. Return whether it has."""
        closes = False
        if self._held is not None and not self._held.watches:
            if not self._code.fenced and not self.closed:
                closes = self.closed = True
                if not self.entire:
                    self.release(CODE)
            elif not self._line_blank:
                self.entire = False
        self._line_blank = True
        return closes

    def release(self, rule: str = "") -> None:
        """What is held is text: by a rule, or because the answer was cut or it is too much."""
        held, self._held = self.begin(), None
        if rule and held.count:
            self._desk.quoted[rule] += held.count
        self.entire = self.closed = self._bare = False
        self._desk.say(held.raw)

    def end(self, *, cut: bool) -> None:
        """The answer is over while something is held."""
        held = self.begin()
        if held.watches:
            self._decide(held.watches.end(cut=cut))
        elif cut:
            self.release()
        elif self.entire:
            self._desk.call(held.calls)
        elif held.ends_in_text:
            self.release(CODE)
        else:
            self._desk.call(held.events)
