"""Buffer of the events of an answer, and of calls that may still turn out to be text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from io import StringIO
from itertools import groupby

from proxy.parsing.calls import ToolIndex
from proxy.parsing.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    Reasoning,
    Source,
    TextEvent,
)
from proxy.parsing.quoting import QuoteWatchers
from proxy.parsing.repeats import RequestTexts


class Pending:
    """Calls that may still turn out to be text, kept both as events and as text."""

    __slots__ = ("_events", "_raw", "_text", "count", "ends_in_text", "size", "watchers")

    def __init__(self, raw: str = "") -> None:
        # StringIO keeps the cost linear even if the text arrives one character at a time.
        self._raw, self._text = StringIO(), StringIO()
        self._events: list[TextEvent] = []
        self._raw.write(raw)
        self.size = len(raw)
        self.count = 0  # number of calls
        self.ends_in_text = False  # the last call is followed by more than whitespace
        # Watchers of the text after the calls. Without any, the code around the calls decides.
        self.watchers = QuoteWatchers()

    def add(self, raw: str, events: Iterable[TextEvent]) -> None:
        """Add text and the events that it means."""
        self._raw.write(raw)
        for event in events:
            if isinstance(event, Content):
                self._text.write(event.text)
                self.ends_in_text = self.ends_in_text or bool(event.text.strip())
            else:
                self._close()
                self._events.append(event)
                self.count += isinstance(event, CallStart)
                self.ends_in_text = False
        self.size += len(raw)

    def _close(self) -> None:
        """Turn the text collected since the last call into one event."""
        if self._text.tell():
            self._events.append(Content(self._text.getvalue()))
            self._text = StringIO()

    @property
    def events(self) -> list[TextEvent]:
        """The calls, and the text between them, as events."""
        self._close()
        return self._events

    @property
    def calls(self) -> list[TextEvent]:
        """The events of the calls, without the text between them."""
        return [event for event in self._events if not isinstance(event, Content)]

    @property
    def raw(self) -> str:
        """Everything held, as text."""
        return self._raw.getvalue()


class CallDigest:
    """Incremental hash of tool calls, used to recognize a repeated call in constant memory."""

    def __init__(self) -> None:
        self._open = blake2b(digest_size=16)

    def feed(self, event: TextEvent) -> bytes | None:
        """Add an event. If it ends a call, return the digest of that call, otherwise None."""
        if isinstance(event, CallStart):
            self._open = blake2b(
                event.name.encode("utf-8", "surrogatepass") + b"\0", digest_size=16
            )
        elif isinstance(event, CallArguments):
            self._open.update(event.text.encode("utf-8", "surrogatepass"))
        elif isinstance(event, CallEnd):
            return self._open.digest()
        return None


def digests(events: Iterable[TextEvent]) -> Iterator[bytes]:
    """Yield the digest of each call that ends in `events`."""
    one = CallDigest()
    return (digest for event in events if (digest := one.feed(event)))


class EventBuffer:
    """Buffer of the events of one answer, shared by its text and its separate reasoning."""

    def __init__(self, tools: ToolIndex, request: RequestTexts | None = None) -> None:
        self.tools = tools
        self.request_texts = request or RequestTexts()
        self.quoted_calls: Counter[str] = Counter()  # calls treated as text, counted by rule
        self.grammar_failures: Counter[str] = Counter()  # exceptions, counted by dialect
        self.has_text = False  # text of the answer was emitted
        self.has_reasoning = False  # a reasoning block was read, possibly an empty one
        self.reasoning_shown = False  # reasoning text was emitted
        self.has_calls = False  # there was a call outside the reasoning
        # Calls in the reasoning, until a call outside of it or the end of the answer decides.
        self._reasoning_calls: Pending | None = None
        self._events: list[TextEvent] = []
        self._calls = 0  # calls emitted
        self._digest = CallDigest()
        self._made: set[bytes] = set()  # digests of the calls emitted

    def add_text(self, text: str) -> None:
        if text:
            self.has_text = True
            self._events.append(Content(text))

    def add_reasoning(self, text: str) -> None:
        if text:
            self.reasoning_shown = True
            self._events.append(Reasoning(text))

    def add_calls(self, events: Sequence[TextEvent], source: Source = "parsed from text") -> None:
        """Emit calls that are certain, and the text between them.

        Calls held from the reasoning are then emitted as reasoning, not as calls.
        """
        for event in events:
            if digest := self._digest.feed(event):
                self._made.add(digest)
            if isinstance(event, Content):
                self.add_text(event.text)
            elif isinstance(event, CallStart):
                self.has_calls = True
                self.release_reasoning_calls()
                self._calls += 1
                self._events.append(replace(event, index=self._calls - 1, source=source))
            elif not isinstance(event, Reasoning):
                self._events.append(replace(event, index=self._calls - 1))

    def repeats_calls(self, events: Iterable[TextEvent]) -> bool:
        """Return whether `events` contain calls, all of which were already emitted.

        A model that repeats a call without its markers means a single call.
        """
        found = set(digests(events))
        return bool(found) and found <= self._made

    @property
    def held_reasoning_size(self) -> int:
        """Number of characters held because of calls in the reasoning."""
        return self._reasoning_calls.size if self._reasoning_calls else 0

    def hold_reasoning_calls(self, raw: str, events: Sequence[TextEvent]) -> None:
        """Hold calls found in the reasoning, together with their text."""
        self._reasoning_calls = self._reasoning_calls or Pending()
        self._reasoning_calls.add(raw, events)

    def release_reasoning_calls(self) -> None:
        """Emit the calls held from the reasoning as reasoning text."""
        pending, self._reasoning_calls = self._reasoning_calls, None
        if pending:
            self.add_reasoning(pending.raw)

    def decide_reasoning_calls(self, *, cut: bool) -> None:
        """Emit what is held from the reasoning at the end of the answer.

        It is emitted as calls, or as reasoning text if the answer was cut.
        """
        pending, self._reasoning_calls = self._reasoning_calls, None
        if pending and cut:
            self.add_reasoning(pending.raw)
        elif pending:
            self.add_calls(pending.calls, "parsed from reasoning")

    def take_events(self) -> list[TextEvent]:
        """Return the events since the previous call of this method, with adjacent pieces merged."""
        events, self._events = self._events, []
        return events if len(events) < 2 else merged(events)


def merged(events: Iterable[TextEvent]) -> list[TextEvent]:
    """Return `events` with adjacent pieces of text, reasoning or arguments merged."""
    out: list[TextEvent] = []
    for _, group in groupby(events, key=lambda event: (type(event), getattr(event, "index", 0))):
        same = list(group)
        first = same[0]
        if len(same) > 1 and isinstance(first, (Content, Reasoning, CallArguments)):
            out.append(
                replace(
                    first,
                    text="".join(event.text for event in same if isinstance(event, type(first))),
                )
            )
        else:
            out.extend(same)
    return out
