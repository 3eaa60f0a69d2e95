"""One attempt to read a call: a grammar is run and believed, or everything that it read is given back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from proxy.stream.calls import Calls
from proxy.stream.desk import Desk
from proxy.stream.dialect import Grammar
from proxy.stream.events import TextEvent
from proxy.stream.reader import Reader, Steps

T = TypeVar("T")
Trial: TypeAlias = tuple[str, Grammar]
Leave: TypeAlias = Callable[[Sequence[TextEvent]], None]


@dataclass(frozen=True)
class Read:
    """What an attempt has read: its text, and the calls in it; none if it is only text that need not be read again."""

    raw: str
    events: Sequence[TextEvent] = ()


class Attempts:
    """All attempts on one channel of an answer."""

    def __init__(self, desk: Desk, read: Reader) -> None:
        self._desk, self._read = desk, read

    def streamed(self, trials: Sequence[Trial]) -> Steps[Read | None]:
        """Where a call is a call: it leaves while it is read, and text behind it may be read too. None: nothing was read."""
        return (yield from self._each(trials, self._read.limit, self._desk.call))

    def held(self, trials: Sequence[Trial], already: int) -> Steps[Read | None]:
        """Where a call may still turn out to be text. None: nothing was read."""
        return (yield from self._each(trials, max(self._read.limit - already, 0), None))

    def _each(self, trials: Sequence[Trial], allowance: int, leave: Leave | None) -> Steps[Read | None]:
        """Run one grammar after the other. Whatever one of them did, it leaves no mark behind."""
        read = self._read
        for name, grammar in trials:
            depth, mark = read.depth, read.mark(allowance)
            # A call that leaves cannot be given back: once one has begun, nothing before it is kept.
            calls = Calls(self._desk.tools, limit=read.limit, begun=partial(read.give_up, depth) if leave else None)
            whole = yield from self._run(name, grammar, calls, leave)
            if leave and calls.count:
                if calls.open:
                    calls.abort()
                leave(calls.taken())
                return Read(read.unwind(depth))
            if whole and calls.found and not calls.open and not calls.broken:
                raw = read.since(mark)
                read.give_up(depth)
                return Read(raw, calls.taken())
            if text := read.unwind(depth):
                return Read(text)
        return None

    def _run(self, name: str, grammar: Grammar, calls: Calls, leave: Leave | None) -> Steps[bool]:
        """Run one grammar. False if it raised, or waited for more than there will be or may be held."""
        steps = grammar(self._read, calls)
        while True:
            try:
                next(steps)
            except StopIteration:
                return True
            except Exception:  # law 6: whatever a grammar does, the answer goes on
                self._desk.failures[name] += 1
                return False
            if leave and calls.count:
                leave(calls.taken())
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
