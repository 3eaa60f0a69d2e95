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
from proxy.errors import BridgeError
from proxy.requests.other_ways import continued, softened, wants_a_call
from proxy.requests.question import Question
from proxy.stream.events import CallEnd
from proxy.stream.parser import ThinkingMode
from proxy.web import headers
from proxy.web.choice import Choice, Joining
from proxy.web.house import House

AskRaw: TypeAlias = Callable[[Question, headers.RawHeaders, Sequence[str]], Awaitable[Opened]]
_MOST_QUESTIONS = 2


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
        self._raw = backend.raw_way() if house.settings.tool_parsing != "native" else None
        self._written = 0  # of the server's log, when it was asked

    async def first(self) -> Asked:
        self._written = self._backend.place.written()
        if self._raw is not None and self._house.settings.tool_parsing == "raw" and not wants_a_call(self._question.body):
            return await self._ask_raw(self._question, "begins again", self._raw.ask)
        return Asked(await self._backend.ask(self._question, self._sent), "begins again")

    def parser(self, thinking: ThinkingMode | None = None) -> Parser:
        """For an answer that begins again, or whose thoughts go on as text."""
        return self._house.parser(self._question, self._backend, thinking)

    def may_help(self, error: BridgeError) -> bool:
        return self._raw is not None and self._raw.gave_up(error)

    async def answer_at_hand(self, error: BridgeError, choice: Choice) -> str | None:
        assert self._raw is not None
        text = await self._raw.answer_at_hand(error, choice.text, self._written)
        if text is None:
            return None
        trial = self._house.parser(self._question, self._backend)
        if any(isinstance(event, CallEnd) and not event.whole for event in (*trial.feed(text), *trial.close())):
            return None  # a part of it may be missing
        self.ways.append("from its log or error")
        return text

    async def ask(self, error: BridgeError, choice: Choice) -> Asked:
        """Another question for the same answer. Raises the error where nothing is left to ask."""
        assert self._raw is not None
        if len(self.ways) == _MOST_QUESTIONS:
            raise error
        self._written = self._backend.place.written()
        if self._raw.over_a_schema(error) and "softer schemas" not in self.ways:
            self.ways.append("softer schemas")
            self._question = replace(self._question, body=softened(self._question.body))
            return Asked(await self._backend.ask(self._question, self._sent), "begins again")
        if wants_a_call(self._question.body):
            raise error  # only the backend's own grammar can promise one
        ask = self._raw.complete if "raw" in self.ways else self._raw.ask
        self.ways.append("raw")
        question, joins = await self._joined(self._raw, choice)
        return await self._ask_raw(question, joins, ask)

    async def _ask_raw(self, question: Question, joins: Joining, ask: AskRaw) -> Asked:
        opened = await ask(question, self._sent, markers(self._house.settings.tool_dialect))
        prompt = (opened.prompt or "").rstrip()
        inside = joins == "goes on thinking" or (joins == "begins again" and prompt.endswith(OPENERS_OF_THOUGHTS))
        return Asked(opened.response, joins, "forced" if inside else None)

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
