"""How an answer is got all the same when the backend's own parser has given up over it, or our own
child has died under it.

The answer itself, if it is at hand; else it is asked for once more: with softer schemas, without
the parser, or in the child's next life. Never more than two further questions, never after a call
has left: it may be running already.

What the client already has stands at the end of the new question, so that only what follows comes.
Where the template does not take it that way the answer is given anew, and what the client has of it
is left out (`Choice.begins_again`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import httpx

from proxy.backends.base import Backend, Headers
from proxy.backends.llama_cpp.client import Opened, RawWay
from proxy.backends.response_reader import Reply
from proxy.chat_request.fallbacks import (
    continued,
    fits_a_prompt,
    has_own_grammar,
    may_go_on,
    softened,
    wants_a_call,
)
from proxy.chat_request.request import Question
from proxy.completion.answer_state import Keeping, Room
from proxy.completion.choice import Choice
from proxy.completion.parser_factory import ParserFactory
from proxy.completion.resume import Joining
from proxy.dialects import OPENERS_OF_THOUGHTS, Parser, markers
from proxy.errors import BadRequest, BridgeError, Vanished
from proxy.parsing.events import CallEnd
from proxy.parsing.parser import ThinkingMode

AskRaw: TypeAlias = Callable[[Question, Headers, Sequence[str]], Awaitable[Opened]]
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
    spent: int = 0  # tokens of the answer that stand in its question


@dataclass(frozen=True, slots=True)
class _Further:
    """What is asked, and how its answer joins."""

    question: Question
    joins: Joining = "begins again"
    spent: int = 0


class Rescue:
    def __init__(
        self,
        parsers: ParserFactory,
        kept: Room,
        backend: Backend,
        question: Question,
        sent: Headers,
    ) -> None:
        self.ways: list[str] = []  # that were gone, for the log
        self._parsers, self._settings = parsers, parsers.settings
        self._backend = backend
        self._question = question
        self._sent = sent
        self._setting = self._settings.tool_parsing
        self._raw = backend.raw_way() if self._setting != "native" else None
        self._watch = self._raw.begins() if self._raw is not None else None
        self.keeping = Keeping(kept if self._raw is not None or self._settings.own_child else None)
        self._by: AskRaw | None = None  # it was asked last; None is natively
        self._raw_ways: list[tuple[str, AskRaw]] = []  # that are still to be gone
        # Only the backend's own grammar can promise one.
        if self._raw is not None and not wants_a_call(question.body):
            self._raw_ways.append(("raw", self._raw.ask))
            if fits_a_prompt(question.body):
                self._raw_ways.append(("plain prompt", self._raw.complete))

    async def first(self) -> Asked:
        if self._setting == "raw" and self._raw is None:
            raise BadRequest(
                f"TOOL_PARSING=raw needs llama.cpp, and the backend is of another kind: "
                f"{self._backend.kind}"
            )
        if self._raw_ways and (self._setting == "raw" or has_own_grammar(self._question.body)):
            _, ask = self._raw_ways.pop(0)
            return await self._ask_raw(ask, _Further(self._question))
        return Asked(await self._backend.ask(self._question, self._sent), "begins again")

    def close(self) -> None:
        self.keeping.forget()
        if self._raw is not None and self._watch is not None:
            self._raw.ended(self._watch)

    async def warm_up(self) -> None:
        """Make ready what the answer is read with, now that the model is known."""
        await self._parsers.warm_up_for(self._question, self._backend)

    def parser(self, thinking: ThinkingMode | None = None) -> Parser:
        return self._parsers.parser(self._question, self._backend, thinking)

    def reply(self) -> Reply:
        return self._backend.reply(self._question.tools)

    def may_help(self, error: BridgeError) -> bool:
        return isinstance(error, Vanished) or (self._raw is not None and self._raw.gave_up(error))

    async def answer_at_hand(self, error: BridgeError, choice: Choice) -> Found | None:
        """Only with a whole call in it: whether others were cut, and what of them is missing,
        only the backend could say.
        """
        if isinstance(error, Vanished) or self._raw is None or self._watch is None:
            return None
        text = await self._raw.answer_at_hand(error, choice.text, self._watch)
        if text is None:
            return None
        thoughts = choice.thoughts.strip()
        thinking: ThinkingMode | None = (
            "forced" if thoughts and text.lstrip().startswith(thoughts) else None
        )
        trial = self.parser(thinking)
        # Nothing in it is completed: it may have been cut.
        events = [*trial.feed(text), *trial.close("length")]
        ends = [event.whole for event in events if isinstance(event, CallEnd)]
        if not ends or not all(ends) or not choice.begins(events):
            return None
        self.ways.append("from its log or error")
        return Found(text, self.parser(thinking))

    async def ask(self, error: BridgeError, choice: Choice) -> Asked | None:
        """Another question for the same answer; None where nothing is left to ask."""
        if len(self.ways) == _MOST_QUESTIONS:
            return None
        if isinstance(error, Vanished):
            return await self._ask_its_next_life(choice)
        assert self._raw is not None  # or nobody would have seen its parser give up
        self._look_from_here()
        soft = softened(self._question.body)
        if self._by is None and self._raw.over_a_schema(error) and soft != self._question.body:
            self.ways.append("softer schemas")
            self._question = replace(self._question, body=soft)
            return Asked(await self._backend.ask(self._question, self._sent), "begins again")
        if not self._raw_ways:
            return None
        way, ask = self._raw_ways.pop(0)
        self.ways.append(way)
        return await self._ask_raw(
            ask, await self._going_on(self._raw, choice) or _Further(self._question)
        )

    async def _ask_its_next_life(self, choice: Choice) -> Asked | None:
        """It goes on if the template takes what was said, and no grammar is needed; otherwise it
        is asked as it was.
        """
        if not await self._backend.place.next_life():
            return None
        self.ways.append("its next life")
        self._look_from_here()
        if self._raw is not None and not wants_a_call(self._question.body):
            further = await self._going_on(self._raw, choice)
            if further is not None:
                return await self._ask_raw(self._by or self._raw.ask, further)
        if self._by is not None:
            return await self._ask_raw(self._by, _Further(self._question))
        return Asked(await self._backend.ask(self._question, self._sent), "begins again")

    def _look_from_here(self) -> None:
        if self._raw is not None and self._watch is not None:
            self._watch.written = self._raw.written

    async def _ask_raw(self, ask: AskRaw, further: _Further) -> Asked:
        self._by = ask
        opened = await ask(further.question, self._sent, markers(self._settings.tool_dialect))
        inside = further.joins == "goes on thinking" or (
            further.joins == "begins again" and self._opens_thoughts(opened.prompt)
        )
        return Asked(opened.response, further.joins, "forced" if inside else None, further.spent)

    def _opens_thoughts(self, prompt: str | None) -> bool:
        return self._settings.thinking == "auto" and (prompt or "").rstrip().endswith(
            OPENERS_OF_THOUGHTS
        )

    async def _going_on(self, raw: RawWay, choice: Choice) -> _Further | None:
        """The question with what was said at its end, if the template takes it that way."""
        said = choice.text or choice.thoughts
        if not said or choice.must_be_said_again or not may_go_on(self._question.body):
            return None
        try:
            spent = await raw.tokens(self._question, choice.thoughts + choice.text)
            question = replace(
                self._question,
                body=continued(self._question.body, choice.text, choice.thoughts, spent),
            )
            taken = (await raw.prompt(question)).endswith(said)
        except BridgeError:
            return None
        return (
            _Further(question, "goes on" if choice.text else "goes on thinking", spent)
            if taken
            else None
        )
