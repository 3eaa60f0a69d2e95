"""A choice's text in any cutting → events.

Whole or letter by letter, the events are the same when joined.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, get_args

from proxy.parsing.answer_reader import Answer
from proxy.parsing.calls import Tools
from proxy.parsing.dialect import Dialect, Hint, Thoughts
from proxy.parsing.event_buffer import Desk
from proxy.parsing.events import TextEvent
from proxy.parsing.grammar_runner import Attempts
from proxy.parsing.marker_index import NO_HINT, look
from proxy.parsing.quoting import QuotedCalls
from proxy.parsing.reader import Emit, Reader, Steps
from proxy.parsing.reasoning_reader import Thinking
from proxy.parsing.repeats import RequestTexts
from proxy.parsing.window import HELD_LIMIT

ThinkingMode: TypeAlias = Literal["tags", "forced", "off"]
THINKING_MODES: tuple[str, ...] = get_args(ThinkingMode)

SURROGATE = re.compile(r"[\ud800-\udfff]")
HIGH = re.compile(r"[\ud800-\udbff]\Z")


class Channel:
    """One stream of text and the computation that reads it; `rest` takes what the computation
    never reads.
    """

    def __init__(self, read: Reader, steps: Steps[None], rest: Emit) -> None:
        self._read, self._steps, self._rest = read, steps, rest
        self._half = ""  # the first half of a letter that a backend has cut in two
        self._over = False
        self._go()

    def feed(self, text: str) -> None:
        if self._half or SURROGATE.search(text):
            text = self._letters(self._half + text)
        if text:
            self._read.push(text)
            self._go()

    def end(self, *, cut: bool) -> None:
        if self._half:
            self._read.push("\ufffd")
        self._half = ""
        self._read.end(cut=cut)
        self._go()
        if not self._over:  # law 5: it waits for text that will never come
            self._steps.close()
            self._rest(self._read.rest())

    def _go(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._over = True

    def _letters(self, text: str) -> str:
        """Halves are joined; one that has lost its other half is no letter, and could not be
        sent on.
        """
        half = HIGH.search(text)
        self._half = half.group() if half else ""
        return (
            (text[: half.start()] if half else text)
            .encode("utf-16-le", "surrogatepass")
            .decode("utf-16-le", "replace")
        )


class Parser:
    """What the rest of the house sees. One for each choice of an answer."""

    def __init__(
        self,
        tools: object = (),
        *,
        dialects: Sequence[Dialect],
        thoughts: Sequence[Thoughts],
        turns: Sequence[str] = (),
        labels: Sequence[Thoughts] = (),
        own_turns: Sequence[str] = (),
        thinking: ThinkingMode = "tags",
        hint: Hint = NO_HINT,
        request_texts: Iterable[str] = (),
        quoted_calls: QuotedCalls = "text",
        held_limit: int = HELD_LIMIT,
    ) -> None:
        if thinking not in THINKING_MODES:
            raise ValueError(f"unknown thinking {thinking!r}: one of {', '.join(THINKING_MODES)}")
        known = Tools(tools)
        self._desk = Desk(known, RequestTexts(request_texts if quoted_calls == "text" else ()))
        believed = () if thinking == "off" else tuple(thoughts)
        self._look = look(
            tuple(dialects),
            believed,
            tuple(turns),
            tuple(labels),
            tuple(own_turns),
            bool(known),
            hint,
            quoted_calls,
        )
        self._forced = thinking == "forced"
        self._limit = held_limit
        self._answer: Channel | None = None
        self._thoughts: Channel | None = None

    @property
    def grammar_failures(self) -> Counter[str]:
        """How often which grammar has raised."""
        return self._desk.failures

    @property
    def quoted_calls(self) -> Counter[str]:
        """How many calls are text, by the rule that says so."""
        return self._desk.quoted

    def feed(self, text: str) -> list[TextEvent]:
        """Text of the answer."""
        if text:
            self._end_thoughts(cut=False)
            if self._answer is None:
                read = Reader(limit=self._limit)
                answer = Answer(self._desk, read, self._look, forced=self._forced)
                self._answer = Channel(read, answer.run(), self._desk.say)
            self._answer.feed(text)
        return self._desk.taken()

    def think(self, text: str) -> list[TextEvent]:
        """Thoughts that the backend has separated itself."""
        if text:
            if self._forced and self._answer is not None:
                self._answer.end(cut=False)
                self._answer = None
            self._forced = False
            if self._thoughts is None:
                read = Reader(limit=self._limit)
                thinking = Thinking(self._desk, read, Attempts(self._desk, read), self._look)
                self._thoughts = Channel(read, thinking.block(), self._desk.think)
            self._thoughts.feed(text)
        return self._desk.taken()

    def called(self) -> list[TextEvent]:
        """The backend has parsed a call itself: those in the thoughts were rehearsals."""
        self._end_thoughts(cut=False)
        self._desk.called = True
        self._desk.rehearsed()
        return self._desk.taken()

    def close(self, finish: str = "stop") -> list[TextEvent]:
        """The answer is over, and everything held back comes out.

        Cut or broken off, nothing in it is completed or repaired.
        """
        cut = finish in ("length", "error")
        self._end_thoughts(cut=cut)
        if self._answer is not None:
            self._answer.end(cut=cut)
            self._answer = None
        self._desk.decide(cut=cut)
        return self._desk.taken()

    def _end_thoughts(self, *, cut: bool) -> None:
        if self._thoughts is not None:
            self._thoughts.end(cut=cut)
            self._thoughts = None
