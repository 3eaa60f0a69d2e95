"""One choice of an answer: what the backend says and what we find in its text, numbered
together; also where it is said twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from proxy.chat_request.request import Question
from proxy.chat_request.tools import DeclaredNames
from proxy.completion.answer_state import Keeping
from proxy.completion.duplicate_calls import CallEvent, Copies
from proxy.completion.request_stats import Record
from proxy.completion.resume import Known
from proxy.dialects import Parser
from proxy.errors import BrokenOff
from proxy.ids import new_id
from proxy.parsing.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    Finish,
    Logprobs,
    Reasoning,
    Source,
    TextEvent,
)

TOO_LONG = "a call of more than 4 MiB could not be compared with its copy: a tool may run twice"


@dataclass(slots=True)
class _Half:
    """A call that has begun and has no end yet."""

    whose: object
    number: int
    name: str
    arguments: list[str] = field(default_factory=list)


class Choice:
    def __init__(
        self,
        parser: Parser | None,
        question: Question,
        ids: set[str],
        record: Record,
        keeping: Keeping,
    ) -> None:
        self.finish: str | None = None
        self.announced = 0
        self.whole = 0
        self.halves = 0  # calls that ended in the middle
        self._read: list[str] = []  # the text as it came, also what is still held back
        self._thought: list[str] = []  # what came as thoughts
        self._parser = parser
        self._most = 1 if question.one_call else None
        self._names = DeclaredNames(question.tools)
        self._choice = question.choice
        self.refused: list[str] = []  # tools that the model called against `tool_choice`
        self._ids = ids
        self._record = record
        self._keeping = keeping
        self._copies = Copies()
        # By who found it and its number there.
        self._numbers: dict[tuple[object, int], int | None] = {}
        self._said: dict[type[Content | Reasoning], list[str]] = {Content: [], Reasoning: []}
        self._known = {Content: Known(""), Reasoning: Known("")}
        self._open: dict[int, _Half] = {}
        self._again: list[tuple[_Half, Known]] = []  # those that are to be said again
        self._doubled: dict[int, Known] = {}  # calls that are said again, by their number
        self._rescued = False
        self._thinks_in_text = False
        self._has_content = False  # of what was said
        self._lost = False  # a call that the client has half of is not said again

    def take(self, event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs]:
        events = self._events(event)
        if self._lost:
            raise BrokenOff(
                "the answer broke off in a call, and was given anew without it (connection lost)"
            )
        return events

    def _events(self, event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs]:
        parser = self._parser
        match event:
            case Content(text):
                self._keeping.add(self._read, text)
                return self._numbered(parser, parser.feed(text) if parser is not None else [event])
            case Reasoning(text):
                self._keeping.add(self._thought, text)
                return self._numbered(parser, parser.think(text) if parser is not None else [event])
            case CallStart():
                released = self._numbered(parser, parser.called()) if parser is not None else []
                return [
                    *released,
                    *self._numbered(self, [replace(event, name=self._names.meant(event.name))]),
                ]
            case CallArguments() | CallEnd():
                return self._numbered(self, [event])
            case Logprobs():
                return [event]
            case _:
                self.finish = event.reason
                return []

    def close(self, finish: str) -> Iterable[TextEvent]:
        if self._parser is None:
            return []
        closed = self._numbered(self._parser, self._parser.close(finish))
        self._record.quoted.update(self._parser.quoted_calls)
        self._parser.quoted_calls.clear()
        return [
            *closed,
            *(one for whose, event in self._copies.end() for one in self._call(whose, event)),
        ]

    @property
    def is_kept(self) -> bool:
        """Whether another answer could be joined to what the client has of this one."""
        return self._keeping.all

    @property
    def text(self) -> str:
        return "".join(self._read)

    @property
    def thoughts(self) -> str:
        return "".join(self._thought)

    @property
    def must_be_said_again(self) -> bool:
        """A call that the backend itself began has no text that could be gone on with, and
        thoughts in the text no place.
        """
        return (
            self._thinks_in_text
            or self._copies.holds_native
            or any(call.whose is self for call in self._open.values())
        )

    def begins(self, events: Iterable[TextEvent]) -> bool:
        """Whether what the client has may be the beginning of these: thoughts may be left out, a
        call of the backend's would be.
        """
        content = "".join(event.text for event in events if isinstance(event, Content))
        return not self.must_be_said_again and content.startswith("".join(self._said[Content]))

    def goes_on(self) -> None:
        """The next that comes is what follows."""
        self._rescued, self.finish = True, None

    def goes_on_thinking(self, parser: Parser | None) -> Iterable[TextEvent | Logprobs]:
        """What follows belongs to the thoughts, and comes as text: as text its parser must also
        see those before it.
        """
        thoughts = self.thoughts
        self.begins_again(parser)
        self._thinks_in_text = True
        return self.take(Content(thoughts))

    def begins_again(self, parser: Parser | None) -> None:
        """The next that comes is the whole answer anew: what the client has of it is left out."""
        self.goes_on()
        self._parser = parser
        self._copies = Copies()
        self._read, self._thought, self._thinks_in_text = [], [], False
        self._known = {kind: Known("".join(said)) for kind, said in self._said.items()}
        # Now: it may be forgotten meanwhile.
        halves = [(half, Known("".join(half.arguments))) for half in self._open.values()]
        self._again, self._open = [*halves, *self._again], {}

    @property
    def is_another(self) -> bool:
        """It was given anew in other words, and there is no call in it: nobody could join the two.

        Thoughts alone do not count.
        """
        told_differently = self._known[Content].parted or (
            self._known[Reasoning].parted and not self._has_content
        )
        return self._lost or bool(self._again) or (told_differently and not self.whole)

    def _numbered(self, whose: object, events: Iterable[TextEvent]) -> list[TextEvent]:
        numbered: list[TextEvent] = []
        for event in events:
            match event:
                case Content(text) | Reasoning(text):
                    if new := self._known[type(event)].new(text):
                        self._keeping.add(self._said[type(event)], new)
                        self._has_content = self._has_content or isinstance(event, Content)
                        numbered.append(event if new == text else replace(event, text=new))
                case _ if self._parser is None:
                    numbered += self._call(whose, event)
                case _:
                    for finder, call in self._copies.take(whose, event, is_native=whose is self):
                        numbered += self._call(finder, call)
                    if self._copies.unsure:
                        self._record.note = TOO_LONG
        return numbered

    def _call(self, whose: object, event: CallEvent) -> Iterable[TextEvent]:
        match event:
            case CallArguments(index, text):
                return self._argued(self._numbers[whose, index], text)
            case CallStart(index):
                return self._started(whose, index, event)
            case _:
                return self._ended(self._numbers[whose, event.index], whole=event.whole)

    def _started(self, whose: object, index: int, call: CallStart) -> Iterable[TextEvent]:
        if self._again:
            half, doubled = self._again.pop(0)
            if half.name != call.name:
                self._numbers[whose, index], self._lost = None, True
                return []
            self._numbers[whose, index] = half.number
            self._open[half.number] = half
            self._doubled[half.number] = doubled
            return []
        number, name = self.announced, self._names.meant(call.name)
        if not self._choice.permits(name):
            self.refused.append(name)
        if number == self._most or not self._choice.permits(name):
            self._numbers[whose, index] = None
            return []
        self._numbers[whose, index] = number
        self._open[number] = _Half(whose, number, call.name)
        self.announced += 1
        source: Source = "rescued" if self._rescued else call.source
        self._record.calls[source] += 1
        return [CallStart(number, self._id(call.id), name, source)]

    def _argued(self, number: int | None, text: str) -> Iterable[TextEvent]:
        if number is None:
            return []
        if (doubled := self._doubled.get(number)) is not None:
            text = doubled.new(text)
            self._lost = self._lost or doubled.differs
        self._keeping.add(self._open[number].arguments, text)
        return [CallArguments(number, text)] if text else []

    def _ended(self, number: int | None, *, whole: bool) -> Iterable[TextEvent]:
        if number is None:
            return []
        del self._open[number]
        self.whole += whole
        self.halves += not whole
        return [CallEnd(number, whole)]

    def _id(self, given: str | None) -> str:
        """The model's own id, unless the conversation has it already: clients and templates tell
        calls apart by it.
        """
        id = given if given and given not in self._ids else new_id("call_")
        self._ids.add(id)
        return id
