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
    """Reads one block of reasoning, up to its closer or the end.

    A call inside is held until something other than whitespace follows: another call joins it, more
    reasoning makes it a rehearsal.
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
        self._shown = False  # part of this block was shown
        self._separator = "\n"

    def read_block(
        self, closers: Sequence[str] = (), stop_before: Sequence[str] = (), separator: str = "\n"
    ) -> Steps[None]:
        """Read one block.

        `stop_before` ends the block too, but is left unread. `separator` is put between this
        reasoning and the reasoning before it.
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
        if self._context.code.inline:
            self._add(opener)
            return
        self._reader.back(len(opener))
        # Only more reasoning can follow, which decides by itself.
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
        """Add reasoning; whitespace is held back.

        At the edge of the block one newline belongs to the markup, and after a call whitespace
        decides nothing. `seen` replaces the text where rules read it.
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
        """Emit reasoning, after the whitespace that was held back."""
        if self._buffer.held_reasoning_size:
            self._buffer.release_reasoning_calls()
        elif not self._shown and self._buffer.reasoning_shown:
            self._buffer.add_reasoning(self._separator)
        self._shown = True
        self._buffer.add_reasoning(self._blanks.getvalue() + text)
        self._blanks = StringIO()


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
