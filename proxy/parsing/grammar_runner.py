"""One attempt to read a call: a grammar is run and believed, or everything that it read is given
back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Grammar
from proxy.parsing.event_buffer import Desk
from proxy.parsing.events import CallStart, TextEvent
from proxy.parsing.quoting import REPEATED
from proxy.parsing.reader import Reader, Steps
from proxy.parsing.window import Mark

T = TypeVar("T")
Trial: TypeAlias = tuple[str, Grammar]
Leave: TypeAlias = Callable[[Sequence[TextEvent]], None]


@dataclass(frozen=True)
class Read:
    """What an attempt has read: its text, and the calls in it; none if it is only text that need
    not be read again.
    """

    raw: str
    events: Sequence[TextEvent] = ()
    rule: str = ""  # by which a call in it is text

    @property
    def count(self) -> int:
        """How many calls are text, where there is a rule."""
        return sum(isinstance(event, CallStart) for event in self.events) or 1


class _Repeated(Exception):
    """The call that has just ended stands word for word in the request."""


class _Run:
    """One run of a grammar: the calls that it writes, and from where on its text can be given back.

    A call that leaves cannot be given back: once one has begun, nothing before it is kept. Where
    the request has the opener too, a call waits while it may still be one that the request has word
    for word.
    """

    def __init__(
        self, desk: Desk, read: Reader, leave: Leave | None, opener: str, allowance: int
    ) -> None:
        self._read, self._leave, self._allowance = read, leave, allowance
        self.depth = read.depth
        # Of the attempt, and of the call that is read.
        self.mark = self.begin = read.mark(allowance)
        self.rule = ""
        self.left = False  # something of a call has left
        self._kept = True  # the text since `begin` can be had again
        self._repeat = desk.request.follow(read, opener)
        self.calls = Calls(
            desk.tools, limit=read.limit, watcher=self if leave or self._repeat else None
        )
        self._over = False

    def let_go(self) -> bool:
        """Let leave what is certain. Return whether more text may have come in sight by that."""
        waits = self._leave is not None and self._repeat is not None and self._repeat.may_be()
        if (
            self._leave is None
            or not self.calls.count
            or (waits and self.calls.open and self._kept)
        ):
            return False
        self._leave(self.calls.taken())
        self.left = True
        if not self._kept or not self.calls.open:
            return False
        self._forget()
        return True

    def _forget(self) -> None:
        """Keep nothing any more of what was read."""
        self._read.give_up(self.depth)
        self._kept = False

    def call_started(self) -> None:
        if self._repeat is None or not self._kept:
            self._forget()
        elif self.calls.count > 1:  # a later call begins where its grammar has set its last mark
            if (last := self._read.last_mark).at > self.begin.at:
                self.begin = last
            self._repeat.has(self.begin)

    def call_ended(self) -> None:
        if self._repeat is None or self._over:
            return
        if self._leave is None:
            self.rule = REPEATED if self._repeat.has(self.begin) else self.rule
            self.begin = Mark(self._read.position, 0)
        elif self._kept and self._repeat.has(self.begin):
            raise _Repeated
        else:
            self._leave(self.calls.taken())
            self.left, self._kept = True, True
            self._read.give_up(self.depth)
            self.begin = self._read.mark(self._allowance)

    @property
    def _breaks_off_repeated(self) -> bool:
        """Whether the text is over, or too long, inside a call that stands in the request as far
        as that.
        """
        return (
            self.calls.open
            and self._kept
            and self._repeat is not None
            and self._repeat.has(self.begin)
        )

    @property
    def is_call(self) -> bool:
        """Whether something of it has left, or may leave now that it is over."""
        return (
            self._leave is not None
            and self.calls.count > 0
            and (self.left or not self._breaks_off_repeated)
        )

    def end(self) -> str:
        """Let the rest leave. Return what is text after all."""
        self._over = True
        if self._breaks_off_repeated:
            text = self._read.since(self.begin)
            self._read.give_up(self.depth)
            return text
        if self.calls.open:
            self.calls.abort()
        assert self._leave is not None  # or it is no call
        self._leave(self.calls.taken())
        self._read.release(self.begin)
        return self._read.unwind(self.depth)


class Attempts:
    """All attempts on one channel of an answer."""

    def __init__(self, desk: Desk, read: Reader) -> None:
        self._desk, self._read = desk, read

    def streamed(self, trials: Sequence[Trial], opener: str) -> Steps[Read | None]:
        """Where a call is a call: it leaves while it is read, and text behind it may be read too.

        None: nothing was read.
        """
        return (yield from self._each(trials, self._read.limit, self._desk.call, opener))

    def held(self, trials: Sequence[Trial], already: int, opener: str = "") -> Steps[Read | None]:
        """Where a call may still turn out to be text. None: nothing was read."""
        return (yield from self._each(trials, max(self._read.limit - already, 0), None, opener))

    def _each(
        self, trials: Sequence[Trial], allowance: int, leave: Leave | None, opener: str
    ) -> Steps[Read | None]:
        """Run one grammar after the other. Whatever one of them did, it leaves no mark behind."""
        read = self._read
        for name, grammar in trials:
            run = _Run(self._desk, read, leave, opener, allowance)
            calls = run.calls
            try:
                whole = yield from self._run(name, grammar, run)
            except _Repeated:
                raw = read.since(run.begin)
                read.give_up(run.depth)
                return Read(raw, (), REPEATED)
            if run.is_call:
                return Read(run.end())
            if whole and calls.found and not calls.open and not calls.broken:
                raw = read.since(run.mark)
                read.give_up(run.depth)
                return Read(raw, calls.taken(), run.rule)
            if text := read.unwind(run.depth):
                return Read(text)
        return None

    def _run(self, name: str, grammar: Grammar, run: _Run) -> Steps[bool]:
        """Run one grammar.

        False if it raised, or waited for more than there will be or may be held.
        """
        steps = grammar(self._read, run.calls)
        while True:
            try:
                next(steps)
            except StopIteration:
                return True
            except _Repeated:
                raise
            except Exception:  # law 6: whatever a grammar does, the answer goes on
                self._desk.failures[name] += 1
                return False
            if run.let_go():
                continue
            if self._read.starved:
                steps.close()
                return False
            yield


def bounded(read: Reader, steps: Steps[T]) -> Steps[T | None]:
    """Run `steps`. None if they waited for more than there will be or may be held."""
    depth = read.depth
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            value: T = stop.value
            return value
        if read.starved:
            steps.close()
            read.give_up(depth)
            return None
        yield
