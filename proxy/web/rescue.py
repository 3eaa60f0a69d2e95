"""How an answer is got all the same when the backend's own parser has given up over it.

The answer itself, if it is at hand; else it is asked for once more with softer schemas, or without the parser. Never more than
two further questions, never after a call has left: it may be running already.

What the client already has stands at the end of the new question, so that only what follows comes. Where the template does not
take it that way the answer is given anew, and what the client has of it is left out (`Choice.begins_again`).
"""

from dataclasses import dataclass, replace

import httpx

from proxy.backends.base import Backend
from proxy.dialects import markers, openers_of_thoughts
from proxy.errors import BridgeError
from proxy.requests.other_ways import continued, softened, wants_a_call
from proxy.requests.question import Question
from proxy.stream.events import CallEnd
from proxy.stream.parser import ThinkingMode
from proxy.web import headers
from proxy.web.choice import Choice, Joining
from proxy.web.house import House

_MOST_QUESTIONS = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """Another answer, and how it joins what came before."""

    response: httpx.Response
    joins: Joining
    thinking: ThinkingMode | None = None  # where it is known from the prompt


class Rescue:
    def __init__(self, house: House, backend: Backend, question: Question, sent: headers.RawHeaders) -> None:
        self.ways: list[str] = []  # that were gone
        self._house = house
        self._backend = backend
        self._question = question
        self._sent = sent
        self._raw = backend.raw_way() if house.settings.tool_parsing != "native" else None
        self._written = backend.place.written()

    @property
    def always(self) -> bool:
        return self._house.settings.tool_parsing == "raw" and not wants_a_call(self._question.body)

    def may_help(self, error: BridgeError) -> bool:
        return self._raw is not None and self._raw.gave_up(error)

    async def answer_at_hand(self, error: BridgeError, choice: Choice) -> str | None:
        assert self._raw is not None
        text = await self._raw.answer_at_hand(error, choice.text, self._written)
        if text is None:
            return None
        trial = self._house.parser(self._question)
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
        return await self.ask_raw(choice)

    async def ask_raw(self, choice: Choice) -> Asked:
        assert self._raw is not None
        question, joins = await self._joined(choice)
        ask = self._raw.complete if "raw" in self.ways else self._raw.ask
        self.ways.append("raw")
        opened = await ask(question, self._sent, markers(self._house.settings.tool_dialect))
        if joins == "begins again" and opened.prompt is not None and opened.prompt.rstrip().endswith(openers_of_thoughts()):
            return Asked(opened.response, joins, "forced")
        return Asked(opened.response, joins, "forced" if joins == "goes on thinking" else None)

    async def _joined(self, choice: Choice) -> tuple[Question, Joining]:
        assert self._raw is not None
        said = choice.text or choice.thoughts
        if said and not choice.must_be_said_again:
            question = replace(self._question, body=continued(self._question.body, choice.text, choice.thoughts))
            try:
                taken = (await self._raw.prompt(question)).endswith(said)
            except BridgeError:
                taken = False
            if taken:
                return question, "goes on" if choice.text else "goes on thinking"
        return self._question, "begins again"
