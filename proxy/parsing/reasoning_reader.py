"""Reader of reasoning, and of the calls that models write inside it."""

from collections.abc import Sequence
from io import StringIO

from proxy.parsing.call_context import CallContext
from proxy.parsing.event_buffer import EventBuffer
from proxy.parsing.grammar_runner import GrammarRunner
from proxy.parsing.marker_index import MarkerIndex
from proxy.parsing.markers import compiled
from proxy.parsing.quoting import QUOTED, newline_after
from proxy.parsing.reader import Reader, Steps


class ReasoningReader:
    """Reader of reasoning blocks.

    A call in a block is held. If more reasoning follows it, the call becomes reasoning text;
    otherwise the rest of the answer decides.
    """

    def __init__(
        self, buffer: EventBuffer, reader: Reader, runner: GrammarRunner, index: MarkerIndex
    ) -> None:
        self._buffer, self._reader, self._runner, self._grammars = (
            buffer,
            reader,
            runner,
            index.grammars,
        )
        self._context = CallContext(index)
        self._blanks = StringIO()
        self._shown = False  # text of this block was emitted
        self._separator = "\n"

    def read_block(
        self, closers: Sequence[str] = (), stop_before: Sequence[str] = (), separator: str = "\n"
    ) -> Steps[None]:
        """Read one block of reasoning, up to one of `closers` or the end of the text.

        The markers in `stop_before` end the block too, but are left unread. `separator` is emitted
        between this block and the reasoning before it.
        """
        self._separator = separator
        self._blanks, self._shown, self._buffer.has_reasoning = StringIO(), False, True
        self._context.reset()
        yield from self._reader.take("\r\n", "\n")
        known = compiled((*closers, *stop_before, *self._grammars))
        while marker := (yield from self._reader.find(known, self._add)):
            if marker in stop_before and not self._context.code.inline:
                self._reader.back(len(marker))
                break
            if marker in stop_before:
                self._add(marker)
            elif marker not in closers:
                yield from self._call(marker)
            elif self._context.last_char == "`" and (yield from self._reader.peek_char()) == "`":
                self._add(marker)
            else:
                break
        if not self._buffer.held_reasoning_size and self._shown:
            self._buffer.add_reasoning(_without_newline(self._blanks.getvalue()))

    def _call(self, opener: str) -> Steps[None]:
        """Read and hold the call that `opener` begins. If there is none, add the opener as text."""
        if self._context.code.inline:
            self._add(opener)
            return
        self._reader.back(len(opener))
        # No watchers are needed, because any reasoning after the call turns it into text.
        rule = self._context.judge(opener, after_prose=self._shown).rule
        result = yield from self._runner.run_held(
            self._grammars[opener], self._buffer.held_reasoning_size, opener
        )
        if result and result.events and (rule := rule or result.rule):
            self._buffer.quoted_calls[rule] += result.count
            self._add(result.raw, QUOTED + newline_after(result.raw))
        elif result and result.events:
            self._buffer.hold_reasoning_calls(self._blanks.getvalue() + result.raw, result.events)
            self._blanks = StringIO()
            self._context.add_call(result.raw)
        elif result:
            self._add(result.raw)
        else:
            self._reader.advance(len(opener))
            self._add(opener)

    def _add(self, text: str, seen: str = "") -> None:
        """Emit reasoning, but hold back the whitespace at its end.

        The last newline of a block belongs to the markup, and whitespace after a call decides
        nothing. Quoting rules read `seen`, if given, instead of `text`.
        """
        self._context.feed(seen or text)
        core = text.rstrip()
        if core:
            self._emit(core)
        self._blanks.write(text[len(core) :])
        if self._blanks.tell() + self._buffer.held_reasoning_size > self._reader.limit:
            blanks = self._blanks.getvalue()
            self._blanks = StringIO()
            shown = _without_newline(blanks)
            self._emit(shown)
            self._blanks.write(blanks[len(shown) :])

    def _emit(self, text: str) -> None:
        """Emit reasoning, preceded by the whitespace that was held back."""
        if self._buffer.held_reasoning_size:
            self._buffer.release_reasoning_calls()
        elif not self._shown and self._buffer.reasoning_shown:
            self._buffer.add_reasoning(self._separator)
        self._shown = True
        self._buffer.add_reasoning(self._blanks.getvalue() + text)
        self._blanks = StringIO()


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
