"""Parser of one choice: text in pieces of any size in, events out.

The joined events do not depend on how the text was cut.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, get_args

from proxy.parsing.answer_reader import AnswerReader
from proxy.parsing.calls import ToolIndex
from proxy.parsing.dialect import Dialect, ModelHint, ReasoningTags
from proxy.parsing.event_buffer import EventBuffer
from proxy.parsing.events import TextEvent
from proxy.parsing.grammar_runner import GrammarRunner
from proxy.parsing.marker_index import NO_HINT, marker_index
from proxy.parsing.quoting import QuotedCalls
from proxy.parsing.reader import Emit, Reader, Steps
from proxy.parsing.reasoning_reader import ReasoningReader
from proxy.parsing.repeats import RequestTexts
from proxy.parsing.window import HELD_LIMIT

ThinkingMode: TypeAlias = Literal["tags", "forced", "off"]
THINKING_MODES: tuple[str, ...] = get_args(ThinkingMode)

SURROGATE = re.compile(r"[\ud800-\udfff]")
HIGH_SURROGATE = re.compile(r"[\ud800-\udbff]\Z")


class Channel:
    """Stream of text, and the generator that reads it.

    `rest` receives the text that the generator leaves unread.
    """

    def __init__(self, reader: Reader, steps: Steps[None], rest: Emit) -> None:
        self._reader, self._steps, self._rest = reader, steps, rest
        self._high_surrogate = ""  # the first half of a character that the backend has split in two
        self._over = False
        self._advance()

    def feed(self, text: str) -> None:
        if self._high_surrogate or SURROGATE.search(text):
            text = self._join_surrogates(self._high_surrogate + text)
        if text:
            self._reader.push(text)
            self._advance()

    def end(self, *, cut: bool) -> None:
        if self._high_surrogate:
            self._reader.push("\ufffd")
        self._high_surrogate = ""
        self._reader.end(cut=cut)
        self._advance()
        if not self._over:  # law 5: the generator waits for text that will not arrive
            self._steps.close()
            self._rest(self._reader.take_rest())

    def _advance(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._over = True

    def _join_surrogates(self, text: str) -> str:
        """Return `text` with split characters joined, and lone halves replaced by U+FFFD."""
        half = HIGH_SURROGATE.search(text)
        self._high_surrogate = half.group() if half else ""
        return (
            (text[: half.start()] if half else text)
            .encode("utf-16-le", "surrogatepass")
            .decode("utf-16-le", "replace")
        )


class ChoiceParser:
    """Parser of the text and the separate reasoning of one choice."""

    def __init__(
        self,
        tools: object = (),
        *,
        dialects: Sequence[Dialect],
        reasoning_tags: Sequence[ReasoningTags],
        end_tokens: Sequence[str] = (),
        labels: Sequence[ReasoningTags] = (),
        own_end_tokens: Sequence[str] = (),
        thinking: ThinkingMode = "tags",
        hint: ModelHint = NO_HINT,
        request_texts: Iterable[str] = (),
        quoted_calls: QuotedCalls = "text",
        held_limit: int = HELD_LIMIT,
    ) -> None:
        if thinking not in THINKING_MODES:
            raise ValueError(
                f"unknown thinking mode {thinking!r}; use one of {', '.join(THINKING_MODES)}"
            )
        known = ToolIndex(tools)
        self._buffer = EventBuffer(
            known, RequestTexts(request_texts if quoted_calls == "text" else ())
        )
        believed = () if thinking == "off" else tuple(reasoning_tags)
        self._index = marker_index(
            tuple(dialects),
            believed,
            tuple(end_tokens),
            tuple(labels),
            tuple(own_end_tokens),
            bool(known),
            hint,
            quoted_calls,
        )
        self._forced = thinking == "forced"
        self._limit = held_limit
        self._answer: Channel | None = None
        self._reasoning: Channel | None = None

    @property
    def grammar_failures(self) -> Counter[str]:
        """Number of exceptions that the grammar of each dialect has raised."""
        return self._buffer.grammar_failures

    @property
    def quoted_calls(self) -> Counter[str]:
        """Number of calls treated as text, by the rule that refused them."""
        return self._buffer.quoted_calls

    def feed(self, text: str) -> list[TextEvent]:
        """Parse the next piece of the answer's text, and return the events that are certain."""
        if text:
            self._end_reasoning(cut=False)
            if self._answer is None:
                reader = Reader(limit=self._limit)
                answer = AnswerReader(self._buffer, reader, self._index, forced=self._forced)
                self._answer = Channel(reader, answer.run(), self._buffer.add_text)
            self._answer.feed(text)
        return self._buffer.take_events()

    def feed_reasoning(self, text: str) -> list[TextEvent]:
        """Parse the next piece of reasoning that the backend has separated from the text."""
        if text:
            if self._forced and self._answer is not None:
                self._answer.end(cut=False)
                self._answer = None
            self._forced = False
            if self._reasoning is None:
                reader = Reader(limit=self._limit)
                reasoning = ReasoningReader(
                    self._buffer, reader, GrammarRunner(self._buffer, reader), self._index
                )
                self._reasoning = Channel(
                    reader, reasoning.read_block(), self._buffer.add_reasoning
                )
            self._reasoning.feed(text)
        return self._buffer.take_events()

    def native_call_started(self) -> list[TextEvent]:
        """Note that the backend has parsed a call, so that held calls become reasoning text."""
        self._end_reasoning(cut=False)
        self._buffer.has_calls = True
        self._buffer.release_reasoning_calls()
        return self._buffer.take_events()

    def close(self, finish: str = "stop") -> list[TextEvent]:
        """End the answer, and return all remaining events.

        If `finish` is "length" or "error", the answer was cut: nothing is completed or repaired.
        """
        cut = finish in ("length", "error")
        self._end_reasoning(cut=cut)
        if self._answer is not None:
            self._answer.end(cut=cut)
            self._answer = None
        self._buffer.decide_reasoning_calls(cut=cut)
        return self._buffer.take_events()

    def _end_reasoning(self, *, cut: bool) -> None:
        if self._reasoning is not None:
            self._reasoning.end(cut=cut)
            self._reasoning = None
