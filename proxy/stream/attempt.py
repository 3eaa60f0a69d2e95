"""One attempt to read a call: a grammar is run and believed, or everything that it read is given back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proxy.stream.calls import Calls
from proxy.stream.desk import Desk
from proxy.stream.dialect import Grammar
from proxy.stream.events import TextEvent
from proxy.stream.reader import HELD_LIMIT, Reader, Steps

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
        """Where a call is a call: it leaves while it is read. None: nothing was read."""
        return (yield from self._each(trials, HELD_LIMIT, self._desk.call))

    def held(self, trials: Sequence[Trial], already: int) -> Steps[Read | None]:
        """Where a call may still turn out to be text. None: nothing was read."""
        return (yield from self._each(trials, max(HELD_LIMIT - already, 0), None))

    def _each(self, trials: Sequence[Trial], allowance: int, leave: Leave | None) -> Steps[Read | None]:
        for name, grammar in trials:
            self._read.allowance = allowance
            mark = self._read.mark()
            calls = Calls(self._desk.tools)
            whole = yield from self._run(name, grammar, calls, mark, leave)
            if leave and calls.count:
                if calls.open:
                    calls.abort()
                leave(calls.taken())
                self._read.release_all()
                return Read("", ())
            if whole and calls.found and not calls.open and not calls.broken:
                raw = self._read.since(mark)
                self._read.release(mark)
                return Read(raw, calls.taken())
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

    def _run(self, name: str, grammar: Grammar, calls: Calls, mark: int, leave: Leave | None) -> Steps[bool]:
        """Runs one grammar; False if it raised or wanted to hold too much."""
        read, steps, marked = self._read, grammar(self._read, calls), True
        while True:
            try:
                next(steps)
            except StopIteration:
                if marked and leave and calls.count:
                    read.release(mark)
                return True
            except Exception:  # law 6: whatever a grammar does, the answer goes on
                self._desk.failures[name] += 1
                break
            if read.hidden and not (marked and leave and calls.count):
                break
            if leave and calls.count:
                if marked:
                    read.release(mark)
                    marked = False
                    continue
                leave(calls.taken())
            yield
        steps.close()
        if marked and leave and calls.count:
            read.release(mark)
        return False
