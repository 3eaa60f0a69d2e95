"""llama.cpp without its own parser: where it has given up over an answer, or over the question.

Its parser dies on what it does not expect, but the answer is often at hand: in the error of older
builds, in the log of our own child. Otherwise the same prompt is asked once more with parser and
grammar off, and what the model writes comes as text.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx

from proxy import exact_json
from proxy.backends.address import Address
from proxy.backends.llama_cpp.parser_failures import (
    _GAVE_UP,
    _LOGGED,
    _OLD_ERROR,
    _SCHEMA,
    Watch,
    _unparsed,
)
from proxy.chat_request.fallbacks import fits_a_prompt, of_prompt, raw
from proxy.chat_request.request import Question
from proxy.errors import BackendFailed, BackendRefused, BadAnswer, BridgeError, Refused

if TYPE_CHECKING:
    from proxy.backends.base import Backend, Headers

# Their chat route drops a call that was not asked for, or throws all the same: gpt-oss, Functionary
# 3.2, Command-R7B.
_LOSES_CALLS = re.compile(r"<\|channel\|>|>>>all|<\|START_ACTION\|>")
TEMPLATE_KEPT = 30.0  # seconds
_LOOKS, _LOOK = 30, 0.01  # seconds: a log has a thread of its own, and may be behind the answer


@dataclass(frozen=True, slots=True)
class Opened:
    response: httpx.Response
    prompt: str | None  # where it is known to the last letter


@dataclass(slots=True)
class _Template:
    text: str
    at: float  # when it was read

    @property
    def holds(self) -> bool:
        return time.monotonic() - self.at <= TEMPLATE_KEPT


class RawWay:
    def __init__(self, backend: "Backend") -> None:
        self._backend = backend
        self.template: str | None = None  # once it was asked for
        self._templates: dict[Address, _Template] = {}
        self._watches: list[Watch] = []

    def at(self, backend: "Backend") -> "RawWay":
        """For a request that has a place of its own; who else is asking is known of all."""
        other = RawWay(backend)
        other._templates, other._watches = self._templates, self._watches
        return other

    def forget(self) -> None:
        self._templates.clear()

    def begins(self) -> Watch:
        for other in self._watches:
            other.alone = False
        watch = Watch(self.written, alone=not self._watches)
        self._watches.append(watch)
        return watch

    def ended(self, watch: Watch) -> None:
        self._watches.remove(watch)

    @property
    def written(self) -> int:
        log = self._backend.place.log()
        return log.written if log is not None else 0

    def gave_up(self, error: BridgeError) -> bool:
        said = isinstance(error, BackendFailed | BackendRefused) and error.status in (400, 500)
        return said and any(sign in error.message for sign in _GAVE_UP)

    def over_a_schema(self, error: BridgeError) -> bool:
        return any(sign in error.message for sign in _SCHEMA)

    async def answer_at_hand(self, error: BridgeError, said: str, watch: Watch) -> str | None:
        """What the model wrote, from the beginning or from where the parser gave up.

        `said` is the text that came before.
        """
        if old := _OLD_ERROR.search(error.message):
            return {0: old[2], len(said.encode()): said + old[2]}.get(int(old[1]))
        log = self._backend.place.log()
        if _LOGGED not in error.message or log is None:
            return None
        for _ in range(_LOOKS):
            if found := _unparsed(log.since(watch.written)):
                # Of two nobody can say which is ours.
                return found[0] if watch.alone and len(found) == 1 else None
            await asyncio.sleep(_LOOK)
        return None

    async def ask(self, question: Question, headers: "Headers", markers: Sequence[str]) -> Opened:
        if _LOSES_CALLS.search(await self.chat_template()) and fits_a_prompt(question.body):
            return await self.complete(question, headers, markers)
        return Opened(
            await self._backend.ask(replace(question, body=raw(question.body)), headers), None
        )

    async def complete(
        self, question: Question, headers: "Headers", markers: Sequence[str]
    ) -> Opened:
        """Without the chat route: its prompt, as plain text to be completed."""
        prompt = await self.prompt(question)
        body = of_prompt(question.body, prompt, list(markers)) | await self._model(question)
        return Opened(
            await self._backend.accepted(exact_json.dumps(body), headers, "/completion"), prompt
        )

    async def prompt(self, question: Question) -> str:
        """As the chat route would make it for the raw question."""
        asked = raw(question.body) | {"stream": False} | await self._model(question)
        answered = await self._backend.post_json("/apply-template", exact_json.dumps(asked))
        prompt = answered.get("prompt") if isinstance(answered, dict) else None
        if not isinstance(prompt, str):
            raise BadAnswer(
                "the backend was asked for a prompt (POST /apply-template) and answered with "
                "something else"
            )
        return prompt

    async def tokens(self, question: Question, text: str) -> int:
        """So many it has, as far as somebody tells."""
        asked = {"content": text, "add_special": False} | await self._model(question)
        told = await self._backend.json_if_any("/tokenize", asked)
        tokens = told.get("tokens") if isinstance(told, dict) else None
        return len(tokens) if isinstance(tokens, list) else 0

    async def chat_template(self) -> str:
        """Return the model's template, or nothing: at a public host, for example, only the API is
        asked.

        It is read again every TEMPLATE_KEPT seconds: another model may have been loaded at the same
        address.
        """
        known = None
        try:
            address = await self._backend.place.address()
            known = self._templates.get(address)
            if known is None or not known.holds:
                known = await self._read_template(address)
        except BridgeError:
            if known is None:
                return ""  # later it may be
            # It does not tell now: no request waits for that again in the next seconds.
            known.at = time.monotonic()
        self.template = known.text
        return known.text

    async def _read_template(self, address: Address) -> "_Template":
        read = _Template(await self._told_template(), time.monotonic())
        for other in [other for other, template in self._templates.items() if not template.holds]:
            del self._templates[other]  # our children take a new port at each start
        self._templates[address] = read
        return read

    async def _told_template(self) -> str:
        try:
            props = await self._backend.get_json("/props")
        except Refused:
            return ""
        template = props.get("chat_template") if isinstance(props, dict) else None
        return template if isinstance(template, str) else ""

    async def _model(self, question: Question) -> dict[str, str]:
        model = await self._backend.model_for(question.model)
        return {} if model is None else {"model": model}
