"""Processing of one choice of an answer.

Merges the calls that the backend parsed with those found in the text, and numbers them. Also joins
a repeated or continued answer to what the client already has.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from proxy.chat_request.request import ChatRequest
from proxy.chat_request.tools import DeclaredNames
from proxy.completion.answer_state import AnswerState
from proxy.completion.duplicate_calls import CallEvent, DuplicateFilter
from proxy.completion.request_stats import RequestStats
from proxy.completion.resume import ResumeFilter
from proxy.dialects import Parser
from proxy.errors import AnswerInterrupted
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

TOO_LONG = "tool calls over 4 MiB were not checked for duplicates; a tool may run twice"


@dataclass(slots=True)
class _OpenCall:
    """Call that was sent to the client but has not ended."""

    finder: object
    number: int
    name: str
    arguments: list[str] = field(default_factory=list)


class Choice:
    def __init__(
        self,
        parser: Parser | None,
        request: ChatRequest,
        ids: set[str],
        stats: RequestStats,
        answer_state: AnswerState,
    ) -> None:
        self.finish: str | None = None
        self.announced = 0
        self.whole_calls = 0
        self.cut_calls = 0  # number of calls that broke off
        self._content: list[str] = []  # the received text, including what the parser holds back
        self._reasoning: list[str] = []  # the received reasoning
        self._parser = parser
        self._max_calls = 1 if request.single_call else None
        self._names = DeclaredNames(request.tools)
        self._tool_choice = request.tool_choice
        self.refused: list[str] = []  # tools that the model called against `tool_choice`
        self._ids = ids
        self._stats = stats
        self._answer_state = answer_state
        self._duplicates = DuplicateFilter()
        # Number of each call for the client, by its source and index there; None if dropped.
        self._numbers: dict[tuple[object, int], int | None] = {}
        self._sent: dict[type[Content | Reasoning], list[str]] = {Content: [], Reasoning: []}
        self._filters = {Content: ResumeFilter(""), Reasoning: ResumeFilter("")}
        self._open: dict[int, _OpenCall] = {}
        # Partly sent calls that a restarted answer has to repeat, and the filters of those
        # that it repeats already, by number.
        self._calls_to_repeat: list[tuple[_OpenCall, ResumeFilter]] = []
        self._call_filters: dict[int, ResumeFilter] = {}
        self._is_recovered = False
        self._reasoning_in_text = False
        self._has_content = False  # whether new text was sent to the client
        # Whether a restarted answer does not repeat a call that the client has in part.
        self._call_lost = False

    def take(self, event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs]:
        events = self._events(event)
        if self._call_lost:
            raise AnswerInterrupted(
                "the answer broke off in a tool call that the new answer lacks (connection lost)"
            )
        return events

    def _events(self, event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs]:
        parser = self._parser
        match event:
            case Content(text):
                self._answer_state.add(self._content, text)
                return self._renumber(parser, parser.feed(text) if parser is not None else [event])
            case Reasoning(text):
                self._answer_state.add(self._reasoning, text)
                return self._renumber(
                    parser, parser.feed_reasoning(text) if parser is not None else [event]
                )
            case CallStart():
                released = (
                    self._renumber(parser, parser.native_call_started())
                    if parser is not None
                    else []
                )
                return [
                    *released,
                    *self._renumber(self, [replace(event, name=self._names.resolve(event.name))]),
                ]
            case CallArguments() | CallEnd():
                return self._renumber(self, [event])
            case Logprobs():
                return [event]
            case _:
                self.finish = event.reason
                return []

    def close(self, finish: str) -> Iterable[TextEvent]:
        if self._parser is None:
            return []
        closed = self._renumber(self._parser, self._parser.close(finish))
        self._stats.quoted.update(self._parser.quoted_calls)
        self._parser.quoted_calls.clear()
        return [
            *closed,
            *(one for finder, event in self._duplicates.end() for one in self._call(finder, event)),
        ]

    @property
    def is_resumable(self) -> bool:
        """Whether the text is still kept, so that a further answer can be joined to it."""
        return self._answer_state.is_complete

    @property
    def text(self) -> str:
        return "".join(self._content)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def cannot_prefill(self) -> bool:
        """Whether the model cannot continue the answer from its text at the end of the prompt.

        A call that the backend parsed has no text to continue from, and reasoning inside the text
        cannot be put into a prompt.
        """
        return (
            self._reasoning_in_text
            or self._duplicates.holds_native
            or any(call.finder is self for call in self._open.values())
        )

    def is_prefix_of(self, events: Iterable[TextEvent]) -> bool:
        """Return whether the content of `events` starts with the content that was sent.

        The reasoning is not compared. The result is False if `cannot_prefill` is True.
        """
        content = "".join(event.text for event in events if isinstance(event, Content))
        return not self.cannot_prefill and content.startswith("".join(self._sent[Content]))

    def continue_(self) -> None:
        """Prepare for a further response that continues this answer where it broke off."""
        self._is_recovered, self.finish = True, None

    def continue_reasoning(self, parser: Parser | None) -> Iterable[TextEvent | Logprobs]:
        """Prepare for a further response that continues the reasoning, as part of its text.

        The new parser must see the reasoning from its start, so the reasoning received so far is
        fed to it as text first.
        """
        reasoning = self.reasoning
        self.restart(parser)
        self._reasoning_in_text = True
        return self.take(Content(reasoning))

    def restart(self, parser: Parser | None) -> None:
        """Prepare for a further response with the whole answer, and skip what was already sent."""
        self.continue_()
        self._parser = parser
        self._duplicates = DuplicateFilter()
        self._content, self._reasoning, self._reasoning_in_text = [], [], False
        self._filters = {kind: ResumeFilter("".join(sent)) for kind, sent in self._sent.items()}
        # The filters copy the arguments, because AnswerState may discard the originals.
        open_calls = [(half, ResumeFilter("".join(half.arguments))) for half in self._open.values()]
        self._calls_to_repeat, self._open = [*open_calls, *self._calls_to_repeat], {}

    @property
    def diverged(self) -> bool:
        """Whether a restarted answer cannot be joined to what the client has.

        This is so if a partly sent call is not repeated, or if the text differs and no complete
        call was sent. Different reasoning is accepted if text follows.
        """
        text_differs = self._filters[Content].has_unmatched or (
            self._filters[Reasoning].has_unmatched and not self._has_content
        )
        return (
            self._call_lost
            or bool(self._calls_to_repeat)
            or (text_differs and not self.whole_calls)
        )

    def _renumber(self, source: object, events: Iterable[TextEvent]) -> list[TextEvent]:
        numbered: list[TextEvent] = []
        for event in events:
            match event:
                case Content(text) | Reasoning(text):
                    if new := self._filters[type(event)].unsent(text):
                        self._answer_state.add(self._sent[type(event)], new)
                        self._has_content = self._has_content or isinstance(event, Content)
                        numbered.append(event if new == text else replace(event, text=new))
                case _ if self._parser is None:
                    numbered += self._call(source, event)
                case _:
                    for finder, call in self._duplicates.take(
                        source, event, is_native=source is self
                    ):
                        numbered += self._call(finder, call)
                    if self._duplicates.is_unsure:
                        self._stats.error = TOO_LONG
        return numbered

    def _call(self, finder: object, event: CallEvent) -> Iterable[TextEvent]:
        match event:
            case CallArguments(index, text):
                return self._arguments(self._numbers[finder, index], text)
            case CallStart(index):
                return self._started(finder, index, event)
            case _:
                return self._ended(self._numbers[finder, event.index], whole=event.whole)

    def _started(self, finder: object, index: int, call: CallStart) -> Iterable[TextEvent]:
        if self._calls_to_repeat:
            open_call, call_filter = self._calls_to_repeat.pop(0)
            if open_call.name != call.name:
                self._numbers[finder, index], self._call_lost = None, True
                return []
            self._numbers[finder, index] = open_call.number
            self._open[open_call.number] = open_call
            self._call_filters[open_call.number] = call_filter
            return []
        number, name = self.announced, self._names.resolve(call.name)
        if not self._tool_choice.permits(name):
            self.refused.append(name)
        if number == self._max_calls or not self._tool_choice.permits(name):
            self._numbers[finder, index] = None
            return []
        self._numbers[finder, index] = number
        self._open[number] = _OpenCall(finder, number, call.name)
        self.announced += 1
        source: Source = "recovered" if self._is_recovered else call.source
        self._stats.calls[source] += 1
        return [CallStart(number, self._id(call.id), name, source)]

    def _arguments(self, number: int | None, text: str) -> Iterable[TextEvent]:
        if number is None:
            return []
        if (call_filter := self._call_filters.get(number)) is not None:
            text = call_filter.unsent(text)
            self._call_lost = self._call_lost or call_filter.differs
        self._answer_state.add(self._open[number].arguments, text)
        return [CallArguments(number, text)] if text else []

    def _ended(self, number: int | None, *, whole: bool) -> Iterable[TextEvent]:
        if number is None:
            return []
        del self._open[number]
        self.whole_calls += whole
        self.cut_calls += not whole
        return [CallEnd(number, whole)]

    def _id(self, given: str | None) -> str:
        """Return the id `given` by the model, or a new id if it is missing or already used.

        Clients and templates distinguish calls by their ids.
        """
        id = given if given and given not in self._ids else new_id("call_")
        self._ids.add(id)
        return id
