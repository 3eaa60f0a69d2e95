"""One attempt to read a call: a grammar is run and believed, or everything that it read is given back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.stream.calls import Calls
from proxy.stream.desk import Desk
from proxy.stream.dialect import Grammar
from proxy.stream.events import CallStart, TextEvent
from proxy.stream.quoting import REPEATED
from proxy.stream.reader import HELD_LIMIT, Reader, Steps

Trial: TypeAlias = tuple[str, Grammar]
Leave: TypeAlias = Callable[[Sequence[TextEvent]], None]


@dataclass(frozen=True)
class Read:
    """What an attempt has read: its text, and the calls in it; none if it is only text that need not be read again."""

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
    """One run of a grammar: the calls that it writes, and from where on its text can be given back."""

    def __init__(self, desk: Desk, read: Reader, leave: Leave | None, opener: str) -> None:
        self._desk, self._read, self._leave = desk, read, leave
        self.mark: int | None = read.mark()
        self.begin = self.mark  # of the call that is read
        self.rule = ""
        self.left = False  # something of a call has left
        self._repeat = desk.request.follow(read, opener)
        self.calls = Calls(desk.tools, self if self._repeat else None)
        self._over = False

    def let_go(self) -> bool:
        """Let leave what is certain. Return whether more text may have come in sight by that."""
        waits = self._leave is not None and self._repeat is not None and self._repeat.may_be()
        if self._leave is None or not self.calls.count or (waits and self.calls.open and self.mark is not None):
            return False
        self._leave(self.calls.taken())
        self.left = True
        if self.mark is None or (self._repeat and not self.calls.open):
            return False
        self._read.release(self.mark)
        self.mark = None
        return True

    def call_started(self) -> None:
        """A later call begins where its grammar has set its last mark."""
        assert self._repeat is not None  # or nothing watches the calls
        if self.calls.count > 1:
            self.begin = max(self.begin, self._read.last_mark)
            self._repeat.has(self.begin)

    def call_ended(self) -> None:
        assert self._repeat is not None
        if self._over:
            return
        if self._leave is None:
            self.rule = REPEATED if self._repeat.has(self.begin) else self.rule
            self.begin = self._read.position
        elif self.mark is not None and self._repeat.has(self.begin):
            raise _Repeated
        else:
            self._leave(self.calls.taken())
            before, self.left = self.mark, True
            self.mark = self.begin = self._read.mark()
            if before is not None:
                self._read.release(before)

    @property
    def _breaks_off_repeated(self) -> bool:
        """Whether the text is over, or too long, inside a call that stands in the request as far as that."""
        return self.calls.open and self._repeat is not None and self.mark is not None and self._repeat.has(self.begin)

    @property
    def is_call(self) -> bool:
        """Whether something of it has left, or may leave now that it is over."""
        return self._leave is not None and self.calls.count > 0 and (self.left or not self._breaks_off_repeated)

    def end(self) -> str:
        """Let the rest leave. Return what is text after all."""
        self._over = True
        if self._breaks_off_repeated:
            text = self._read.since(self.begin)
            self._read.forget_marks()
            return text
        if self.calls.open:
            self.calls.abort()
        self._desk.call(self.calls.taken())
        if self.mark is not None:
            self._read.release(self.mark)
        self._read.release_all()
        return ""


class Attempts:
    """All attempts on one channel of an answer."""

    def __init__(self, desk: Desk, read: Reader) -> None:
        self._desk, self._read = desk, read

    def streamed(self, trials: Sequence[Trial], opener: str) -> Steps[Read | None]:
        """Where a call is a call: it leaves while it is read. None: nothing was read."""
        return (yield from self._each(trials, HELD_LIMIT, self._desk.call, opener))

    def held(self, trials: Sequence[Trial], already: int, opener: str = "") -> Steps[Read | None]:
        """Where a call may still turn out to be text. None: nothing was read."""
        return (yield from self._each(trials, max(HELD_LIMIT - already, 0), None, opener))

    def _each(self, trials: Sequence[Trial], allowance: int, leave: Leave | None, opener: str) -> Steps[Read | None]:
        for name, grammar in trials:
            self._read.allowance = allowance
            run = _Run(self._desk, self._read, leave, opener)
            mark, calls = run.begin, run.calls
            try:
                whole = yield from self._run(name, grammar, run)
            except _Repeated:
                raw = self._read.since(run.begin)
                self._read.forget_marks()
                return Read(raw, (), REPEATED)
            if run.is_call:
                return Read(run.end())
            if whole and calls.found and not calls.open and not calls.broken:
                raw = self._read.since(mark)
                self._read.release(mark)
                return Read(raw, calls.taken(), run.rule)
            if text := self._given_up(mark):
                return Read(text)
        return None

    def _given_up(self, mark: int) -> str:
        """Back to the mark; but if too much was read again already, what was read is text."""
        read = self._read
        read.rewind(mark)
        text = ""
        if read.tired:
            read.drop(read.furthest - mark)
            text = read.since(mark)
        read.release(mark)
        return text

    def _run(self, name: str, grammar: Grammar, run: _Run) -> Steps[bool]:
        """Runs one grammar; False if it raised or wanted to hold too much."""
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
                break
            if run.let_go():
                continue
            if self._read.hidden:
                break
            yield
        steps.close()
        return False
