"""Runner of grammars. It accepts the calls of a grammar, or returns its text to the reader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Grammar
from proxy.parsing.event_buffer import EventBuffer
from proxy.parsing.events import CallStart, TextEvent
from proxy.parsing.quoting import REPEATED
from proxy.parsing.reader import Reader, Steps
from proxy.parsing.window import Mark

T = TypeVar("T")
NamedGrammar: TypeAlias = tuple[str, Grammar]
EmitEvents: TypeAlias = Callable[[Sequence[TextEvent]], None]


@dataclass(frozen=True)
class GrammarResult:
    """Result of running grammars: the text that was read, and the calls in it.

    If `events` is empty, `raw` must not be parsed again. It is empty too if the calls were emitted
    while they were read.
    """

    raw: str
    events: Sequence[TextEvent] = ()
    rule: str = ""  # the quoting rule that refuses the calls; empty if none does

    @property
    def count(self) -> int:
        """Number of calls in the result, at least 1."""
        return sum(isinstance(event, CallStart) for event in self.events) or 1


class _RepeatedCall(Exception):
    """Raised when a call ends that appears word for word in the request."""


class _GrammarRun:
    """Single run of a grammar, which can be undone until a call is emitted.

    Once a call has started, the text before it is no longer kept. If the request contains the
    opener too, a call is held as long as it may be a copy of one in the request.
    """

    def __init__(
        self,
        buffer: EventBuffer,
        reader: Reader,
        emit: EmitEvents | None,
        opener: str,
        allowance: int,
    ) -> None:
        self._reader, self._emit, self._allowance = reader, emit, allowance
        self.mark_count = reader.mark_count
        # The start of the run, and the start of the current call.
        self.mark = self.begin = reader.mark(allowance)
        self.rule = ""
        self.has_emitted = False  # part of a call was emitted
        self._can_rewind = True  # the text since `begin` is still available
        self._repeat = buffer.request_texts.matcher(reader, opener)
        self.calls = CallWriter(
            buffer.tools, limit=reader.limit, watcher=self if emit or self._repeat else None
        )
        self._over = False

    def emit_certain(self) -> bool:
        """Emit the events that are certain. Return True if more text may have become visible."""
        waits = self._emit is not None and self._repeat is not None and self._repeat.may_match()
        if (
            self._emit is None
            or not self.calls.count
            or (waits and self.calls.open and self._can_rewind)
        ):
            return False
        self._emit(self.calls.take_events())
        self.has_emitted = True
        if not self._can_rewind or not self.calls.open:
            return False
        self._give_up_marks()
        return True

    def _give_up_marks(self) -> None:
        """Release the marks of this run, so that its text cannot be read again."""
        self._reader.release_to(self.mark_count)
        self._can_rewind = False

    def call_started(self) -> None:
        if self._repeat is None or not self._can_rewind:
            self._give_up_marks()
        elif self.calls.count > 1:  # a later call begins at the last mark of its grammar
            if (last := self._reader.last_mark).at > self.begin.at:
                self.begin = last
            self._repeat.matches(self.begin)

    def call_ended(self) -> None:
        """Check whether the call repeats one from the request, and stop the grammar if it does.

        A call that is held does not stop the grammar, but sets `rule`.
        """
        if self._repeat is None or self._over:
            return
        if self._emit is None:
            self.rule = REPEATED if self._repeat.matches(self.begin) else self.rule
            self.begin = Mark(self._reader.position, 0)
        elif self._can_rewind and self._repeat.matches(self.begin):
            raise _RepeatedCall
        else:
            self._emit(self.calls.take_events())
            self.has_emitted, self._can_rewind = True, True
            self._reader.release_to(self.mark_count)
            self.begin = self._reader.mark(self._allowance)

    @property
    def _breaks_off_repeated(self) -> bool:
        """Whether a call is still open and everything read of it appears in the request."""
        return (
            self.calls.open
            and self._can_rewind
            and self._repeat is not None
            and self._repeat.matches(self.begin)
        )

    @property
    def is_call(self) -> bool:
        """Whether part of a call was emitted, or can be emitted now that the run is over."""
        return (
            self._emit is not None
            and self.calls.count > 0
            and (self.has_emitted or not self._breaks_off_repeated)
        )

    def end(self) -> str:
        """Emit the remaining events. Return the text that was read but belongs to no call."""
        self._over = True
        if self._breaks_off_repeated:
            text = self._reader.since(self.begin)
            self._reader.release_to(self.mark_count)
            return text
        if self.calls.open:
            self.calls.abort()
        assert self._emit is not None  # implied by is_call
        self._emit(self.calls.take_events())
        self._reader.release(self.begin)
        return self._reader.rewind_to(self.mark_count)


class GrammarRunner:
    """Runner of grammars on one channel of an answer, its text or its reasoning."""

    def __init__(self, buffer: EventBuffer, reader: Reader) -> None:
        self._buffer, self._reader = buffer, reader

    def run_streamed(
        self, grammars: Sequence[NamedGrammar], opener: str
    ) -> Steps[GrammarResult | None]:
        """Run the grammars, and emit the events of a call while it is read.

        Use this where a call cannot turn out to be text. Returns None if nothing was read.
        """
        return (
            yield from self._run_all(grammars, self._reader.limit, self._buffer.add_calls, opener)
        )

    def run_held(
        self, grammars: Sequence[NamedGrammar], held_size: int, opener: str = ""
    ) -> Steps[GrammarResult | None]:
        """Run the grammars, and return the calls without emitting them.

        Use this where a call may turn out to be text. `held_size` is the number of characters
        already held elsewhere. Returns None if nothing was read.
        """
        return (
            yield from self._run_all(grammars, max(self._reader.limit - held_size, 0), None, opener)
        )

    def _run_all(
        self, grammars: Sequence[NamedGrammar], allowance: int, emit: EmitEvents | None, opener: str
    ) -> Steps[GrammarResult | None]:
        """Run the grammars in order until one of them has read something, and release their
        marks.
        """
        reader = self._reader
        for name, grammar in grammars:
            run = _GrammarRun(self._buffer, reader, emit, opener, allowance)
            calls = run.calls
            try:
                whole = yield from self._run(name, grammar, run)
            except _RepeatedCall:
                raw = reader.since(run.begin)
                reader.release_to(run.mark_count)
                return GrammarResult(raw, (), REPEATED)
            if run.is_call:
                return GrammarResult(run.end())
            if whole and calls.has_output and not calls.open and not calls.aborted:
                raw = reader.since(run.mark)
                reader.release_to(run.mark_count)
                return GrammarResult(raw, calls.take_events(), run.rule)
            if text := reader.rewind_to(run.mark_count):
                return GrammarResult(text)
        return None

    def _run(self, name: str, grammar: Grammar, run: _GrammarRun) -> Steps[bool]:
        """Run one grammar to its end.

        Returns False if the grammar raised, or needed more text than exists or may be held.
        """
        steps = grammar(self._reader, run.calls)
        while True:
            try:
                next(steps)
            except StopIteration:
                return True
            except _RepeatedCall:
                raise
            except Exception:  # law 6: a failing grammar must not end the answer
                self._buffer.grammar_failures[name] += 1
                return False
            if run.emit_certain():
                continue
            if self._reader.starved:
                steps.close()
                return False
            yield


def bounded(reader: Reader, steps: Steps[T]) -> Steps[T | None]:
    """Run `steps`, and return None if they needed more text than exists or may be held."""
    mark_count = reader.mark_count
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            value: T = stop.value
            return value
        if reader.starved:
            steps.close()
            reader.release_to(mark_count)
            return None
        yield
