"""What leaves an answer, in its order, and what of it is still held back."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, takewhile

from proxy.stream.calls import Tools
from proxy.stream.events import CallArguments, CallStart, Content, Reasoning, Source, TextEvent
from proxy.stream.quoting import Watches
from proxy.stream.repeats import RequestTexts


class Held:
    """Calls that may still turn out to be text: both readings of the same stretch."""

    __slots__ = ("_raw", "events", "size", "watches")

    def __init__(self, raw: str = "") -> None:
        self._raw = [raw]
        self.events: list[TextEvent] = []
        self.size = len(raw)
        self.watches = Watches()  # what follows them decides, by rule; without any, code around them does

    def add(self, raw: str, events: Iterable[TextEvent]) -> None:
        self._raw.append(raw)
        self.events.extend(events)
        self.size += len(raw)

    @property
    def calls(self) -> list[TextEvent]:
        return [event for event in self.events if not isinstance(event, Content)]

    @property
    def raw(self) -> str:
        return "".join(self._raw)

    @property
    def count(self) -> int:
        return sum(isinstance(event, CallStart) for event in self.events)

    @property
    def ends_in_text(self) -> bool:
        """Whether more than blanks follows the last call."""
        after = takewhile(lambda event: isinstance(event, Content), reversed(self.events))
        return any(isinstance(event, Content) and event.text.strip() for event in after)


class Desk:
    """One per answer, over both its channels (its text and the thoughts that a backend has separated)."""

    def __init__(self, tools: Tools, request: RequestTexts | None = None) -> None:
        self.tools = tools
        self.request = request or RequestTexts()
        self.failures: Counter[str] = Counter()
        self.quoted: Counter[str] = Counter()  # calls that are text, by rule
        self.said = False  # something of the answer is visible
        self.thought = False  # there were thoughts, if only empty ones
        self.reasoned = False  # thoughts were shown
        self.called = False  # there was a call outside of the thoughts
        self._rehearsed: Held | None = None  # calls in thoughts, until it is decided what they are
        self._events: list[TextEvent] = []
        self._calls = 0

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
            if isinstance(event, Content):
                self.say(event.text)
            elif isinstance(event, CallStart):
                self.called = True
                self.rehearsed()
                self._calls += 1
                self._events.append(replace(event, index=self._calls - 1, source=source))
            elif not isinstance(event, Reasoning):
                self._events.append(replace(event, index=self._calls - 1))

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
            out.append(replace(first, text="".join(event.text for event in same if isinstance(event, type(first)))))
        else:
            out.extend(same)
    return out
