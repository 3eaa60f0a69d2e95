"""What leaves an answer, in its order, and what of it is still held back."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from io import StringIO
from itertools import groupby

from proxy.parsing.calls import Tools
from proxy.parsing.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    Reasoning,
    Source,
    TextEvent,
)
from proxy.parsing.quoting import Watches
from proxy.parsing.repeats import RequestTexts


class Held:
    """Calls that may still turn out to be text: both readings of the same stretch."""

    __slots__ = ("_events", "_raw", "_said", "count", "ends_in_text", "size", "watches")

    def __init__(self, raw: str = "") -> None:
        # One letter at a time costs no more than its own size.
        self._raw, self._said = StringIO(), StringIO()
        self._events: list[TextEvent] = []
        self._raw.write(raw)
        self.size = len(raw)
        self.count = 0  # calls
        self.ends_in_text = False  # more than blanks follows the last call
        # What follows them decides, by rule; without any, code around them does.
        self.watches = Watches()

    def add(self, raw: str, events: Iterable[TextEvent]) -> None:
        self._raw.write(raw)
        for event in events:
            if isinstance(event, Content):
                self._said.write(event.text)
                self.ends_in_text = self.ends_in_text or bool(event.text.strip())
            else:
                self._close()
                self._events.append(event)
                self.count += isinstance(event, CallStart)
                self.ends_in_text = False
        self.size += len(raw)

    def _close(self) -> None:
        """The text so far becomes one event."""
        if self._said.tell():
            self._events.append(Content(self._said.getvalue()))
            self._said = StringIO()

    @property
    def events(self) -> list[TextEvent]:
        self._close()
        return self._events

    @property
    def calls(self) -> list[TextEvent]:
        return [event for event in self._events if not isinstance(event, Content)]

    @property
    def raw(self) -> str:
        return self._raw.getvalue()


class CallDigest:
    """Digests calls event by event: enough to recognize a copy, however long its arguments are."""

    def __init__(self) -> None:
        self._open = blake2b(digest_size=16)

    def of(self, event: TextEvent) -> bytes | None:
        """Take the next event; the digest of the call that it ends, if it ends one."""
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
    """The digests of whole calls."""
    one = CallDigest()
    return (digest for event in events if (digest := one.of(event)))


class Desk:
    """One per answer, over both its channels (its text and the thoughts that a backend has
    separated).
    """

    def __init__(self, tools: Tools, request: RequestTexts | None = None) -> None:
        self.tools = tools
        self.request = request or RequestTexts()
        self.quoted: Counter[str] = Counter()  # calls that are text, by rule
        self.failures: Counter[str] = Counter()
        self.said = False  # something of the answer is visible
        self.thought = False  # there were thoughts, if only empty ones
        self.reasoned = False  # thoughts were shown
        self.called = False  # there was a call outside of the thoughts
        self._rehearsed: Held | None = None  # calls in thoughts, until it is decided what they are
        self._events: list[TextEvent] = []
        self._calls = 0
        self._digest = CallDigest()
        self._made: set[bytes] = set()

    def say(self, text: str) -> None:
        if text:
            self.said = True
            self._events.append(Content(text))

    def think(self, text: str) -> None:
        if text:
            self.reasoned = True
            self._events.append(Reasoning(text))

    def call(self, events: Sequence[TextEvent], source: Source = "leaked") -> None:
        """Calls that are certain. With them, those in the thoughts are known to be rehearsals."""
        for event in events:
            if digest := self._digest.of(event):
                self._made.add(digest)
            if isinstance(event, Content):
                self.say(event.text)
            elif isinstance(event, CallStart):
                self.called = True
                self.rehearsed()
                self._calls += 1
                self._events.append(replace(event, index=self._calls - 1, source=source))
            elif not isinstance(event, Reasoning):
                self._events.append(replace(event, index=self._calls - 1))

    def echoes(self, events: Iterable[TextEvent]) -> bool:
        """Whether every call among the events was made already: a model that repeats its call
        without the markers means one.
        """
        found = set(digests(events))
        return bool(found) and found <= self._made

    @property
    def held_in_thoughts(self) -> int:
        return self._rehearsed.size if self._rehearsed else 0

    def rehearse(self, raw: str, events: Sequence[TextEvent]) -> None:
        self._rehearsed = self._rehearsed or Held()
        self._rehearsed.add(raw, events)

    def rehearsed(self) -> None:
        """What was held of the thoughts was thinking."""
        held, self._rehearsed = self._rehearsed, None
        if held:
            self.think(held.raw)

    def decide(self, *, cut: bool) -> None:
        """The answer is over: calls in the thoughts that nothing contradicts are calls."""
        held, self._rehearsed = self._rehearsed, None
        if held and cut:
            self.think(held.raw)
        elif held:
            self.call(held.calls, "thoughts")

    def taken(self) -> list[TextEvent]:
        events, self._events = self._events, []
        return events if len(events) < 2 else joined(events)


def joined(events: Iterable[TextEvent]) -> list[TextEvent]:
    """The same events with their pieces merged."""
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
