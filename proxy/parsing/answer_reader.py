"""Reader of an answer's text: prose, code, reasoning between tags, and tool calls."""

import re
from collections.abc import Sequence

from proxy.parsing.call_context import CallContext, Judgement
from proxy.parsing.code_span import CodeSpan
from proxy.parsing.dialect import A_NAME, Dialect
from proxy.parsing.event_buffer import EventBuffer
from proxy.parsing.fences import fence_before_call
from proxy.parsing.grammar_runner import GrammarResult, GrammarRunner, NamedGrammar, bounded
from proxy.parsing.marker_index import FENCES, MarkerIndex
from proxy.parsing.quoting import BARE, CODE, QUOTED, QuoteWatcher, newline_after
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps
from proxy.parsing.reasoning_reader import ReasoningReader
from proxy.parsing.undecided_calls import UndecidedCalls

BOUNDARY = re.compile(r"[\n.!?:;…。！？]")
"""Characters after which a reasoning tag opens another block; elsewhere the tag is text."""


class AnswerReader:
    """Reader that splits the text of one answer into text, reasoning and tool calls."""

    def __init__(
        self, buffer: EventBuffer, reader: Reader, index: MarkerIndex, *, forced: bool
    ) -> None:
        self._buffer, self._reader, self._index = buffer, reader, index
        self.forced = forced  # the prompt has already opened the reasoning
        self._runner = GrammarRunner(buffer, reader)
        self._reasoning = ReasoningReader(buffer, reader, self._runner, index)
        self._context = CallContext(index)
        self._span: CodeSpan | None = None  # the current inline code, if it contains a marker
        self._at_start = True  # only blanks since the start, a reasoning block or a call
        self._no_calls = False  # the current part of the message cannot contain calls
        self._has_header = False  # a header was read, so tokens that end a part are markup
        self._blanks: list[str] = []  # blanks read at a start, not emitted yet
        # Emitted between two reasoning blocks; empty if the blocks are adjacent.
        self._separator = "\n"
        self._undecided = UndecidedCalls(buffer, self._context.code, reader.limit)

    def run(self) -> Steps[None]:
        """Read the answer to its end."""
        if self.forced:
            yield from self._reader.skip_blanks()
            opener = yield from self._reader.take(*self._index.reasoning, *self._index.labels)
            yield from self._reasoning.read_block(
                self._index.labels.get(opener, self._index.closers)
            )
        while True:
            while self._at_start:
                yield from self._read_start()
            self._separator = "\n"
            marker = yield from self._reader.find(
                self._index.line_markers if self._undecided else self._index.text_markers,
                self._emit_text,
            )
            if marker is None:
                break
            yield from self._handle_marker(marker)
        self._finish()

    def _read_start(self) -> Steps[None]:
        """Read blanks, then a header, a reasoning tag, a fence or a call without a certain marker.

        Clears `_at_start` if none of these follows.
        """
        blanks = yield from self._reader.skip_blanks()
        if blanks:
            self._separator = "\n"
            self._context.feed(blanks)
            self._blanks.append(blanks)
            self._undecided.feed_watchers(blanks)
        marker = yield from self._reader.match(self._index.start_markers)
        if marker in self._index.headers or marker in self._index.reasoning:
            self._undecided.end_part()
        if (
            marker in self._index.headers
            and not self._undecided
            and (yield from self._read_header(marker))
        ):
            return
        if marker in self._index.reasoning and not self._undecided:
            self._reader.advance(len(marker))
            yield from self._read_reasoning(marker)
        elif (
            marker in self._index.closers
            and not self._undecided
            and not self._buffer.has_text
            and not self._buffer.has_calls
        ):
            self._reader.advance(len(marker))
            self._buffer.has_reasoning = True
        elif marker in FENCES and (
            self._is_first() or (self._undecided.may_be_whole_message and self._undecided.closed)
        ):
            self._at_start = yield from self._fence()
        else:
            self._at_start = yield from self._try_tentative(marker)

    def _is_first(self) -> bool:
        return not self._buffer.has_text and not self._buffer.has_calls and not self._undecided

    def _read_reasoning(self, opener: str) -> Steps[None]:
        yield from self._reasoning.read_block(
            self._index.reasoning[opener], separator=self._separator
        )
        self._context.reset()
        self._at_start, self._separator = True, ""

    def _read_header(self, header: str) -> Steps[bool]:
        """Read a header and the call or reasoning after it. Return False if it is not a header."""
        grammars = self._index.grammars.get(header) or self._index.first_grammars.get(header)
        if grammars and (yield from self._try_call(header, grammars)):
            return True
        for frame in self._index.headers[header]:
            if frame is None:
                self._reader.advance(len(header))
                return self._start_answer()
            mark = self._reader.mark()
            region = yield from bounded(self._reader, frame(self._reader))
            if region is None:
                self._reader.rewind(mark)
            self._reader.release(mark)
            self._no_calls = bool(region and region.no_calls)
            if region and region.closers:
                self._has_header = True
                yield from self._reasoning.read_block(region.closers, region.stop_before)
                self._context.reset()
                return True
            if region:
                return self._start_answer()
        return False

    def _start_answer(self) -> bool:
        """Start the answer after a header, and drop the blanks before it."""
        self._has_header, self._blanks = True, []
        self._context.reset()
        return True

    def _fence(self) -> Steps[bool]:
        """Read and hold the opening line of a fence. Return False if no call can follow it."""
        line = yield from fence_before_call(self._reader, self._index, self._buffer.tools)
        if line:
            self._context.feed(line)
            self._undecided.begin_fence("".join(self._blanks) + line)
            self._blanks = []
        return bool(line)

    def _tool_name_follows(self) -> Steps[bool]:
        return (yield from self._index.tool_name_follows(self._reader, self._buffer.tools))

    def _try_tentative(self, start: str) -> Steps[bool]:
        """Try the tentative grammars that `start` may open. Return True if a call was read."""
        if start not in self._index.tentative:
            if start or not (yield from self._tool_name_follows()):
                return False
            start = A_NAME
        for dialect in self._index.tentative[start]:
            if dialect.tentative_grammar is None or (
                dialect.whole_message_only
                and not (self._is_first() or self._undecided.may_be_whole_message)
            ):
                continue
            result = yield from self._runner.run_held(
                [(dialect.name, dialect.tentative_grammar)], self._undecided.size
            )
            if result and result.rule:
                self._refuse(result, result.rule)
            elif result and not result.events:
                self._emit_text(result.raw)
            elif result and not self._undecided and self._buffer.repeats_calls(result.events):
                self._emit_call(GrammarResult(result.raw))
            elif result:
                self._bare_call(result, dialect)
            if result:
                return self._at_start
        return False

    def _bare_call(self, result: GrammarResult, dialect: Dialect) -> None:
        """Emit, hold or refuse a call that has no certain marker.

        The call is proven if its dialect is the model's own, needs no proof, or finds one in the
        text. A proven call is emitted; unless the dialect is the model's own, only calls may
        follow on its line. Any other call must be the whole message.
        """
        own = dialect.name in self._index.own
        proven = (
            own
            or not dialect.tentative_proofs
            or any(proof in result.raw for proof in dialect.tentative_proofs)
        )
        if proven and not dialect.whole_message_only:
            self._emit_call(result, () if own else (QuoteWatcher.rest_of_line(BARE),))
        elif self._undecided.may_be_whole_message or not self._buffer.has_text:
            self._undecided.begin_bare()
            self._emit_call(result)
        else:
            self._refuse(result, BARE)

    def _handle_marker(self, marker: str) -> Steps[None]:
        """Handle a marker found in prose: a call, reasoning, an end token, or plain text."""
        inline = self._context.code.inline
        if marker in self._index.grammars and not inline and not self._no_calls:
            yield from self._call(marker)
        elif marker in self._index.reasoning and self._opens_reasoning():
            yield from self._read_reasoning(marker)
        elif marker in self._index.end_tokens and (
            marker in self._index.own_end_tokens or self._is_marked_up
        ):
            yield from self._handle_end_token(marker)
        else:
            if inline and marker != "\n":
                self._context.code.keep_open()
            if inline and marker in self._index.grammars and self._span is None:
                self._span = CodeSpan(self._buffer.tools, self._index.grammars[marker])
            self._emit_text(marker)
            if marker == "\n":
                self._at_start = self._undecided.end_line() or self._at_start

    @property
    def _is_marked_up(self) -> bool:
        """Whether the answer contains a call, reasoning or a header besides its text."""
        return (
            self._buffer.has_calls
            or self._buffer.has_reasoning
            or self._has_header
            or bool(self._undecided)
        )

    def _opens_reasoning(self) -> bool:
        """Return whether a reasoning tag in prose opens another reasoning block."""
        code = self._context.code
        return (
            self._buffer.has_reasoning
            and not code.inline
            and not code.fenced
            and BOUNDARY.fullmatch(self._context.last_char) is not None
        )

    def _call(self, opener: str) -> Steps[None]:
        """Read the call that `opener` begins. If there is none, emit the opener as text."""
        self._reader.back(len(opener))
        if self._undecided.in_closed_fence:
            self._undecided.emit_as_text(CODE)
        if not (yield from self._try_call(opener, self._index.grammars[opener])):
            self._reader.advance(len(opener))
            self._emit_text(opener)

    def _try_call(self, opener: str, grammars: Sequence[NamedGrammar]) -> Steps[bool]:
        """Read a call, and emit it as a call, or as text if a quoting rule refuses it.

        Return False, with nothing read, if no grammar accepts the text.
        """
        if self._context.code.fenced:
            rule, watches = Judgement(CODE if self._undecided.is_watched else "")
            self._undecided.begin()
        else:
            rule, watches = self._context.judge(
                opener, after_prose=self._buffer.has_text or bool(self._undecided)
            )
        if self._undecided or rule or watches:
            result = yield from self._runner.run_held(grammars, self._undecided.size, opener)
        else:
            result = yield from self._runner.run_streamed(grammars, opener)
        if result is None:
            return False
        if result.rule or (rule and result.events):
            self._refuse(result, rule or result.rule)
        elif result.events or not result.raw:
            self._emit_call(result, watches)
        else:
            self._emit_text(result.raw)
        return True

    def _emit_call(self, result: GrammarResult, watches: Sequence[QuoteWatcher] = ()) -> None:
        self._context.add_call(result.raw)
        self._undecided.add_calls("".join(self._blanks) + result.raw, result.events, watches)
        self._at_start, self._blanks, self._separator = True, [], "\n"

    def _handle_end_token(self, token: str) -> Steps[None]:
        """Drop end tokens at the end of the answer, and emit them as text elsewhere.

        In an answer with headers, they are also dropped before the next part of the message.
        """
        tail, size = [token], len(token)
        while size < WORD_LIMIT and (
            more := (yield from self._reader.skip_blanks()) + (yield from self._take_end_token())
        ):
            tail.append(more)
            size += len(more)
        if not (yield from self._reader.peek_char()):
            self._undecided.add_markup("".join(tail))
            return
        if token in self._index.boundaries:
            self._undecided.end_part()
        if (
            self._has_header
            and not self._undecided
            and (yield from self._reader.match(self._index.part_markers))
        ):
            self._at_start, self._blanks = True, []
            self._context.reset()
        else:
            self._emit_text("".join(tail))

    def _take_end_token(self) -> Steps[str]:
        token = yield from self._reader.match(self._index.end_token_markers)
        self._reader.advance(len(token))
        return token

    def _emit_text(self, text: str) -> None:
        """Emit text of the answer unchanged."""
        self._emit(text, text)

    def _refuse(self, result: GrammarResult, rule: str) -> None:
        """Emit a call as text and count it under `rule`. Quoting rules see only a placeholder."""
        self._buffer.quoted_calls[rule] += result.count
        self._emit(result.raw, QUOTED + newline_after(result.raw))

    def _emit(self, text: str, visible: str) -> None:
        """Emit `text` as text of the answer. Quoting rules read `visible` in its place."""
        self._context.feed(visible)
        if self._span is not None and self._span.feed(text, self._context.code.span):
            self._count_span()
        self._undecided.add_text(
            self._with_blanks(text) if self._at_start or self._blanks else text, visible
        )

    def _count_span(self) -> None:
        if self._span is not None and (count := self._span.count()):
            self._buffer.quoted_calls[CODE] += count
        self._span = None

    def _with_blanks(self, text: str) -> str:
        """Return `text` with the blanks that were held before it.

        Empty lines between reasoning or a call and the first text of the answer are dropped.
        """
        blanks = "".join(self._blanks)
        self._at_start, self._blanks = False, []
        if (
            not self._buffer.has_text
            and (self._buffer.has_calls or self._buffer.has_reasoning)
            and not self._undecided
        ):
            blanks = blanks[blanks.rfind("\n") + 1 :]
        return blanks + text

    def _finish(self) -> None:
        """Emit everything that is still held at the end of the answer."""
        self._context.code.end()
        self._undecided.end_line()
        self._count_span()
        if self._undecided:
            self._undecided.add_markup("".join(self._blanks))
            self._undecided.end(cut=self._reader.cut)
        elif not self._buffer.has_calls and not self._buffer.has_reasoning:
            self._buffer.add_text("".join(self._blanks))
