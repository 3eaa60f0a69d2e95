"""One choice of an answer, and what a client has of it."""

from collections.abc import Iterable
from typing import Any

from proxy.chat_request.request import parse
from proxy.completion.answer_state import AnswerState, MemoryBudget
from proxy.completion.choice import Choice
from proxy.completion.request_stats import RequestStats
from proxy.dialects import Parser
from proxy.parsing.events import CallArguments, CallStart, Content, Finish, Reasoning, TextEvent
from tests.parsing.cuts import TOOLS

CALL = '<tool_call>\n{"name": "water", "arguments": {"plant": "fern", "litres": 2}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'
MADE = ("water", '{"plant":"fern","litres":2}')


def question(more: str = "") -> Any:
    return parse(
        f'{{"messages": [{{"role": "assistant", "tool_calls": [{{"id": "old"}}]}}]{more}}}'.encode()
    )


class Told:
    """A choice, and what the client has of it."""

    def __init__(self, more: str = "", scans: bool = True) -> None:
        self.record = RequestStats("id", "POST", "/")
        self.choice = Choice(
            Parser(TOOLS) if scans else None,
            question(more),
            {"old"},
            self.record,
            AnswerState(MemoryBudget()),
        )
        self.events: list[TextEvent] = []

    def says(self, *events: TextEvent | Finish) -> "Told":
        for event in events:
            self._got(self.choice.take(event))
        return self

    def text(self, text: str, size: int = 1000) -> "Told":
        return self.says(*(Content(text[at : at + size]) for at in range(0, len(text), size)))

    def thinks(self, text: str) -> "Told":
        return self.says(Reasoning(text))

    def ends(self, finish: str = "stop") -> "Told":
        self.says(Finish(finish))
        self._got(self.choice.close(finish))
        return self

    def again(self, thinking: Any = "tags") -> "Told":
        self.choice.restart(Parser(TOOLS, thinking=thinking))
        return self

    def _got(self, events: Iterable[Any]) -> None:
        self.events += events

    @property
    def content(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Content))

    @property
    def thoughts(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Reasoning))

    @property
    def calls(self) -> list[tuple[str, str]]:
        """In the order in which they began; a call that begins twice fails."""
        starts = {event.index: event for event in self.events if isinstance(event, CallStart)}
        assert list(starts) == list(
            range(sum(isinstance(event, CallStart) for event in self.events))
        )
        return [
            (
                start.name,
                "".join(
                    event.text
                    for event in self.events
                    if isinstance(event, CallArguments) and event.index == index
                ),
            )
            for index, start in starts.items()
        ]

    @property
    def starts(self) -> list[CallStart]:
        return [event for event in self.events if isinstance(event, CallStart)]


def native(
    arguments: str, *, name: str = "water", index: int = 0, id: str | None = "c1"
) -> list[TextEvent]:
    return [CallStart(index, id, name, "native"), CallArguments(index, arguments)]
