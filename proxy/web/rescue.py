"""How an answer is got all the same when the backend's own parser has given up over it.

The answer itself, if it is at hand; else it is asked for once more with softer schemas, or without the parser. Never more than
two further questions, never after a call has left: it may be running already.

What the client already has stands at the end of the new question, so that only what follows comes. Where the template does not
take it that way the answer is given anew, and what the client has of it is left out (`Choice.begins_again`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import httpx

from proxy.backends.base import Backend
from proxy.backends.raw import Opened, RawWay
from proxy.dialects import OPENERS_OF_THOUGHTS, Parser, markers
from proxy.errors import BadRequest, BridgeError
from proxy.requests.other_ways import continued, fits_a_prompt, softened, wants_a_call
from proxy.requests.question import Question
from proxy.stream.events import CallEnd
from proxy.stream.parser import ThinkingMode
from proxy.web import headers
from proxy.web.choice import Choice, Joining
from proxy.web.house import House
from proxy.web.keeping import Keeping

AskRaw: TypeAlias = Callable[[Question, headers.RawHeaders, Sequence[str]], Awaitable[Opened]]
_MOST_QUESTIONS = 2


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that is at hand, and what it is read with."""

    text: str
    parser: Parser


@dataclass(frozen=True, slots=True)
class Asked:
    """Another answer, and how it joins what came before."""

    response: httpx.Response
    joins: Joining
    thinking: ThinkingMode | None = None  # where it is known from the prompt


class Rescue:
    def __init__(self, house: House, backend: Backend, question: Question, sent: headers.RawHeaders) -> None:
        self.ways: list[str] = []  # that were gone, for the log
        self._house = house
        self._backend = backend
        self._question = question
        self._sent = sent
        self._setting = house.settings.tool_parsing
        self._raw = backend.raw_way() if self._setting != "native" else None
        self._watch = self._raw.begins() if self._raw is not None else None
        self.keeping = Keeping(house.kept if self._raw is not None else None)
        self._natively = True  # it was asked so far
        self._raw_ways: list[tuple[str, AskRaw]] = []  # that are still to be gone
        if self._raw is not None and not wants_a_call(question.body):  # only the backend's own grammar can promise one
            self._raw_ways.append(("raw", self._raw.ask))
            if fits_a_prompt(question.body):
                self._raw_ways.append(("plain prompt", self._raw.complete))

    async def first(self) -> Asked:
        if self._setting == "raw" and self._raw is None:
            raise BadRequest(f"TOOL_PARSING=raw needs llama.cpp, and the backend is of another kind: {self._backend.kind}")
        if self._setting == "raw" and self._raw_ways:
            _, ask = self._raw_ways.pop(0)
            return await self._ask_raw(self._question, "begins again", ask)
        return Asked(await self._backend.ask(self._question, self._sent), "begins again")

    def close(self) -> None:
        self.keeping.forget()
        if self._raw is not None and self._watch is not None:
            self._raw.ended(self._watch)

    def parser(self, thinking: ThinkingMode | None = None) -> Parser:
        return self._house.parser(self._question, self._backend, thinking)

    def may_help(self, error: BridgeError) -> bool:
        return self._raw is not None and self._raw.gave_up(error)

    async def answer_at_hand(self, error: BridgeError, choice: Choice) -> Found | None:
        """Only with a whole call in it: whether others were cut, and what of them is missing, only the backend could say."""
        assert self._raw is not None
        assert self._watch is not None
        text = await self._raw.answer_at_hand(error, choice.text, self._watch)
        if text is None:
            return None
        thoughts = choice.thoughts.strip()
        thinking: ThinkingMode | None = "forced" if thoughts and text.lstrip().startswith(thoughts) else None
        trial = self.parser(thinking)
        events = [*trial.feed(text), *trial.close("length")]  # nothing in it is completed: it may have been cut
        ends = [event.whole for event in events if isinstance(event, CallEnd)]
        if not ends or not all(ends) or not choice.begins(events):
            return None
        self.ways.append("from its log or error")
        return Found(text, self.parser(thinking))

    async def ask(self, error: BridgeError, choice: Choice) -> Asked | None:
        """Another question for the same answer; None where nothing is left to ask."""
        assert self._raw is not None
        assert self._watch is not None
        if len(self.ways) == _MOST_QUESTIONS:
            return None
        self._watch.written = self._raw.written
        soft = softened(self._question.body)
        if self._natively and self._raw.over_a_schema(error) and soft != self._question.body:
            self.ways.append("softer schemas")
            self._question = replace(self._question, body=soft)
            return Asked(await self._backend.ask(self._question, self._sent), "begins again")
        if not self._raw_ways:
            return None
        way, ask = self._raw_ways.pop(0)
        self.ways.append(way)
        question, joins = await self._joined(self._raw, choice)
        return await self._ask_raw(question, joins, ask)

    async def _ask_raw(self, question: Question, joins: Joining, ask: AskRaw) -> Asked:
        self._natively = False
        opened = await ask(question, self._sent, markers(self._house.settings.tool_dialect))
        inside = joins == "goes on thinking" or (joins == "begins again" and self._opens_thoughts(opened.prompt))
        return Asked(opened.response, joins, "forced" if inside else None)

    def _opens_thoughts(self, prompt: str | None) -> bool:
        return self._house.settings.thinking == "auto" and (prompt or "").rstrip().endswith(OPENERS_OF_THOUGHTS)

    async def _joined(self, raw: RawWay, choice: Choice) -> tuple[Question, Joining]:
        said = choice.text or choice.thoughts
        if said and not choice.must_be_said_again:
            question = replace(self._question, body=continued(self._question.body, choice.text, choice.thoughts))
            try:
                taken = (await raw.prompt(question)).endswith(said)
            except BridgeError:
                taken = False
            if taken:
                return question, "goes on" if choice.text else "goes on thinking"
        return self._question, "begins again"
