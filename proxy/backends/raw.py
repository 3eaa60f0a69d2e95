"""llama.cpp without its own parser: where it has given up over an answer, or over the question.

Its parser dies on what it does not expect, but the answer is often at hand: in the error of older builds, in the log of our own
child. Otherwise the same prompt is asked once more with parser and grammar off, and what the model writes comes as text.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx
import orjson

from proxy.errors import BackendFailed, BackendRefused, BadAnswer, BridgeError
from proxy.requests.other_ways import of_prompt, raw
from proxy.requests.question import Question

if TYPE_CHECKING:
    from proxy.backends.base import Backend, Headers

_SCHEMA = ("JSON schema error", "failed to parse grammar", "Failed to initialize samplers")
_GAVE_UP = ("does not match the expected", "Failed to parse input", "Unable to generate parser", "While executing", "Jinja", *_SCHEMA)
# Their chat route drops a call that was not asked for, or throws all the same: gpt-oss, Functionary 3.2, Command-R7B.
_LOSES_CALLS = re.compile(r"<\|channel\|>|>>>all|<\|START_ACTION\|>")
_OLD_ERROR = re.compile(r"Failed to parse input at pos (\d+): (.*)", re.DOTALL)
_UNPARSED = re.compile(r"unparsed \S+ output: (.*)", re.DOTALL)
_LOG_LINE = re.compile(r"(?:\d+\.)+\d+ [A-Z] ")
_LOG_COMES = 0.3  # seconds: a log has a thread of its own, and may be behind the answer
_LONGEST_LINE = 65000  # longer ones were cut


@dataclass(frozen=True, slots=True)
class Opened:
    response: httpx.Response
    prompt: str | None  # where it is known to the last letter


class RawWay:
    def __init__(self, backend: "Backend") -> None:
        self._backend = backend
        self.template: str | None = None  # once it was asked for

    def gave_up(self, error: BridgeError) -> bool:
        return isinstance(error, BackendFailed | BackendRefused) and any(sign in error.message for sign in _GAVE_UP)

    def over_a_schema(self, error: BridgeError) -> bool:
        return any(sign in error.message for sign in _SCHEMA)

    async def answer_at_hand(self, error: BridgeError, said: str, written: int) -> str | None:
        """The whole answer as the model wrote it. `said` is the text that came before, `written` the log's length when it was asked."""
        if old := _OLD_ERROR.search(error.message):
            return said + old[2] if len(said.encode()) == int(old[1]) else None
        if not self._backend.place.written():
            return None
        waited = 0.0
        while not (found := _unparsed(self._backend.place.log_since(written))) and waited < _LOG_COMES:
            await asyncio.sleep(0.01)
            waited += 0.01
        return found[0] if len(found) == 1 else None  # of two answers nobody can say which is ours

    async def ask(self, question: Question, headers: "Headers", markers: Sequence[str]) -> Opened:
        if _LOSES_CALLS.search(await self.chat_template()):
            return await self.complete(question, headers, markers)
        return Opened(await self._backend.ask(replace(question, body=raw(question.body)), headers), None)

    async def complete(self, question: Question, headers: "Headers", markers: Sequence[str]) -> Opened:
        """Without the chat route: its prompt, as plain text to be completed."""
        prompt = await self.prompt(question)
        body = orjson.dumps(of_prompt(question.body, prompt, list(markers)))
        return Opened(await self._backend.accepted(body, headers, "/completion"), prompt)

    async def prompt(self, question: Question) -> str:
        keys = ("messages", "tools", "chat_template_kwargs")
        asked = orjson.dumps({key: question.body[key] for key in keys if key in question.body})
        answered = await self._backend.post_json("/apply-template", asked)
        prompt = answered.get("prompt") if isinstance(answered, dict) else None
        if not isinstance(prompt, str):
            raise BadAnswer("the backend was asked for a prompt (POST /apply-template) and answered with something else")
        return prompt

    async def chat_template(self) -> str:
        if self.template is None:
            props = await self._backend.get_json("/props")
            template = props.get("chat_template") if isinstance(props, dict) else None
            self.template = template if isinstance(template, str) else ""
        return self.template


def _unparsed(lines: Sequence[str]) -> list[str]:
    """The answers that the log shows because they could not be parsed. The last one counts only when a line comes after it."""
    found: list[str] = []
    open_block: list[str] | None = None
    for line in lines:
        begins = _UNPARSED.search(line)
        if open_block is not None and (begins or _LOG_LINE.match(line)):
            if all(len(part) < _LONGEST_LINE for part in open_block):
                found.append("\n".join(open_block))
            open_block = None
        if begins:
            open_block = [begins[1]]
        elif open_block is not None:
            open_block.append(line)
    return found
