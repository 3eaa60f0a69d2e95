"""Recovery of an answer after the parser of the backend failed, or the backend was lost.

If the log or the error of the server contains the output, that output is used. Otherwise a further
request is sent: with relaxed schemas, without the backend's parser, or to the restarted process. At
most two further requests are sent, and none after a complete call was sent, because the client may
already run that call.

The text that the client already has is put at the end of the new prompt, so that the model
continues it. If the template does not support that, the whole answer is requested again, and the
part that the client has is skipped (`Choice.restart`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import httpx

from proxy.backends.base import Backend, Headers
from proxy.backends.llama_cpp.client import RawMode, RawResponse
from proxy.backends.response_reader import ResponseReader
from proxy.chat_request.fallbacks import (
    can_prefill,
    can_use_completion,
    has_own_grammar,
    relax_schemas,
    requires_tool_call,
    with_prefill,
)
from proxy.chat_request.request import ChatRequest
from proxy.completion.answer_state import AnswerState, MemoryBudget
from proxy.completion.choice import Choice
from proxy.completion.parser_factory import ParserFactory
from proxy.completion.resume import Resume
from proxy.dialects import REASONING_OPENERS, Parser, markers
from proxy.errors import BackendDisconnected, BadRequest, BridgeError
from proxy.parsing.events import CallEnd
from proxy.parsing.parser import ThinkingMode

SendRaw: TypeAlias = Callable[[ChatRequest, Headers, Sequence[str]], Awaitable[RawResponse]]
_MAX_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class RecoveredText:
    """Output of the model that was found in an error or a log, and a parser to read it."""

    text: str
    parser: Parser


@dataclass(frozen=True, slots=True)
class Attempt:
    """Response of the backend, and how its answer relates to what was already sent."""

    response: httpx.Response
    resume: Resume
    thinking: ThinkingMode | None = None  # thinking mode at the start of the answer, if known
    prefill_tokens: int = 0  # tokens of the answer that the prompt already contains


@dataclass(frozen=True, slots=True)
class _NextRequest:
    """Request for the backend, and how its answer will relate to what was already sent."""

    request: ChatRequest
    resume: Resume = "restart"
    prefill_tokens: int = 0


class Recovery:
    def __init__(
        self,
        parsers: ParserFactory,
        budget: MemoryBudget,
        backend: Backend,
        request: ChatRequest,
        headers: Headers,
    ) -> None:
        self.steps: list[str] = []  # names of the recovery steps taken so far, for the log
        self._parsers, self._settings = parsers, parsers.settings
        self._backend = backend
        self._request = request
        self._headers = headers
        self._tool_parsing = self._settings.tool_parsing
        self._raw = backend.raw_mode() if self._tool_parsing != "native" else None
        self._log_window = self._raw.open_window() if self._raw is not None else None
        self.answer_state = AnswerState(
            budget if self._raw is not None or self._settings.starts_server else None
        )
        # The method that sent the last raw request; None if all requests used the parser.
        self._last_sender: SendRaw | None = None
        self._raw_senders: list[tuple[str, SendRaw]] = []  # names and methods not yet tried
        # A raw request is no option for a required call, which only the backend's grammar enforces.
        if self._raw is not None and not requires_tool_call(request.body):
            self._raw_senders.append(("raw", self._raw.send_chat))
            if can_use_completion(request.body):
                self._raw_senders.append(("plain prompt", self._raw.send_completion))

    async def first_attempt(self) -> Attempt:
        if self._tool_parsing == "raw" and self._raw is None:
            raise BadRequest(
                f"TOOL_PARSING=raw needs a llama.cpp backend, but this one is {self._backend.kind}"
            )
        if self._raw_senders and (
            self._tool_parsing == "raw" or has_own_grammar(self._request.body)
        ):
            _, ask = self._raw_senders.pop(0)
            return await self._send_raw(ask, _NextRequest(self._request))
        return Attempt(await self._backend.send_chat(self._request, self._headers), "restart")

    def close(self) -> None:
        self.answer_state.discard()
        if self._raw is not None and self._log_window is not None:
            self._raw.close_window(self._log_window)

    async def warm_up(self) -> None:
        """Compile the patterns of the parser in a thread, now that the model is known."""
        await self._parsers.warm_up_for(self._request, self._backend)

    def parser(self, thinking: ThinkingMode | None = None) -> Parser:
        return self._parsers.parser(self._request, self._backend, thinking)

    def response_reader(self) -> ResponseReader:
        return self._backend.response_reader(self._request.tools)

    def can_recover(self, error: BridgeError) -> bool:
        return isinstance(error, BackendDisconnected) or (
            self._raw is not None and self._raw.is_parser_failure(error)
        )

    async def recover_output(self, error: BridgeError, choice: Choice) -> RecoveredText | None:
        """Return the output of the model from the error or the log, or None if it is of no use.

        The output must contain calls, all of them complete, and start with the text that was sent.
        """
        if isinstance(error, BackendDisconnected) or self._raw is None or self._log_window is None:
            return None
        text = await self._raw.recover_output(error, choice.text, self._log_window)
        if text is None:
            return None
        reasoning = choice.reasoning.strip()
        thinking: ThinkingMode | None = (
            "forced" if reasoning and text.lstrip().startswith(reasoning) else None
        )
        trial = self.parser(thinking)
        # The reason "length" keeps the parser from completing a call that was cut off.
        events = [*trial.feed(text), *trial.close("length")]
        ends = [event.whole for event in events if isinstance(event, CallEnd)]
        if not ends or not all(ends) or not choice.is_prefix_of(events):
            return None
        self.steps.append("from log or error")
        return RecoveredText(text, self.parser(thinking))

    async def next_attempt(self, error: BridgeError, choice: Choice) -> Attempt | None:
        """Send a further request for the same answer, or return None if all steps were tried."""
        if len(self.steps) == _MAX_ATTEMPTS:
            return None
        if isinstance(error, BackendDisconnected):
            return await self._after_restart(choice)
        assert (
            self._raw is not None
        )  # `can_recover` recognizes parser failures only with a raw mode
        self._move_log_window()
        relaxed = relax_schemas(self._request.body)
        if (
            self._last_sender is None
            and self._raw.is_schema_failure(error)
            and relaxed != self._request.body
        ):
            self.steps.append("relaxed schemas")
            self._request = replace(self._request, body=relaxed)
            return Attempt(await self._backend.send_chat(self._request, self._headers), "restart")
        if not self._raw_senders:
            return None
        step, ask = self._raw_senders.pop(0)
        self.steps.append(step)
        return await self._send_raw(
            ask, await self._prefilled(self._raw, choice) or _NextRequest(self._request)
        )

    async def _after_restart(self, choice: Choice) -> Attempt | None:
        """Wait for the process to restart, and request the answer from it again.

        The model continues the answer if the template allows that and no call is required.
        Otherwise the whole answer is requested. Returns None if the process does not restart.
        """
        if not await self._backend.provider.wait_for_restart():
            return None
        self.steps.append("after restart")
        self._move_log_window()
        if self._raw is not None and not requires_tool_call(self._request.body):
            next_request = await self._prefilled(self._raw, choice)
            if next_request is not None:
                return await self._send_raw(self._last_sender or self._raw.send_chat, next_request)
        if self._last_sender is not None:
            return await self._send_raw(self._last_sender, _NextRequest(self._request))
        return Attempt(await self._backend.send_chat(self._request, self._headers), "restart")

    def _move_log_window(self) -> None:
        if self._raw is not None and self._log_window is not None:
            self._log_window.position = self._raw.log_position

    async def _send_raw(self, ask: SendRaw, next_request: _NextRequest) -> Attempt:
        self._last_sender = ask
        opened = await ask(
            next_request.request, self._headers, markers(self._settings.tool_dialect)
        )
        inside = next_request.resume == "continue reasoning" or (
            next_request.resume == "restart" and self._opens_reasoning(opened.prompt)
        )
        return Attempt(
            opened.response,
            next_request.resume,
            "forced" if inside else None,
            next_request.prefill_tokens,
        )

    def _opens_reasoning(self, prompt: str | None) -> bool:
        return self._settings.thinking == "auto" and (prompt or "").rstrip().endswith(
            REASONING_OPENERS
        )

    async def _prefilled(self, raw: RawMode, choice: Choice) -> _NextRequest | None:
        """Return a request whose prompt ends with the answer so far, or None if not possible."""
        sent = choice.text or choice.reasoning
        if not sent or choice.cannot_prefill or not can_prefill(self._request.body):
            return None
        try:
            prefill_tokens = await raw.count_tokens(self._request, choice.reasoning + choice.text)
            request = replace(
                self._request,
                body=with_prefill(
                    self._request.body, choice.text, choice.reasoning, prefill_tokens
                ),
            )
            taken = (await raw.apply_template(request)).endswith(sent)
        except BridgeError:
            return None
        return (
            _NextRequest(
                request, "continue" if choice.text else "continue reasoning", prefill_tokens
            )
            if taken
            else None
        )
