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
from proxy.backends.address import BackendAddress
from proxy.backends.llama_cpp.parser_failures import (
    LOGGED_FAILURE,
    OLD_ERROR,
    PARSER_FAILURES,
    SCHEMA_FAILURES,
    LogWindow,
    unparsed_outputs,
)
from proxy.chat_request.fallbacks import can_use_completion, completion_body, without_parser
from proxy.chat_request.request import ChatRequest
from proxy.errors import (
    BackendFailed,
    BackendRefused,
    BridgeError,
    ClientError,
    InvalidBackendResponse,
)

if TYPE_CHECKING:
    from proxy.backends.base import Backend, Headers

# Their chat route drops a call that was not asked for, or throws all the same: gpt-oss, Functionary
# 3.2, Command-R7B.
_LOSES_CALLS = re.compile(r"<\|channel\|>|>>>all|<\|START_ACTION\|>")
TEMPLATE_TTL = 30.0  # seconds
_LOG_POLLS, _LOG_POLL_INTERVAL = (
    30,
    0.01,
)  # seconds: a log has a thread of its own, and may be behind the answer


@dataclass(frozen=True, slots=True)
class RawResponse:
    response: httpx.Response
    prompt: str | None  # where it is known to the last letter


@dataclass(slots=True)
class _CachedTemplate:
    text: str
    read_at: float  # when it was read

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at <= TEMPLATE_TTL


class RawMode:
    def __init__(self, backend: "Backend") -> None:
        self._backend = backend
        self.template: str | None = None  # once it was asked for
        self._templates: dict[BackendAddress, _CachedTemplate] = {}
        self._windows: list[LogWindow] = []

    def for_backend(self, backend: "Backend") -> "RawMode":
        """For a request that has a place of its own; who else is asking is known of all."""
        other = RawMode(backend)
        other._templates, other._windows = self._templates, self._windows
        return other

    def invalidate(self) -> None:
        self._templates.clear()

    def open_window(self) -> LogWindow:
        for other in self._windows:
            other.exclusive = False
        window = LogWindow(self.log_position, exclusive=not self._windows)
        self._windows.append(window)
        return window

    def close_window(self, window: LogWindow) -> None:
        self._windows.remove(window)

    @property
    def log_position(self) -> int:
        log = self._backend.provider.log()
        return log.position if log is not None else 0

    def is_parser_failure(self, error: BridgeError) -> bool:
        reported = isinstance(error, BackendFailed | BackendRefused) and error.status in (400, 500)
        return reported and any(sign in error.message for sign in PARSER_FAILURES)

    def is_schema_failure(self, error: BridgeError) -> bool:
        return any(sign in error.message for sign in SCHEMA_FAILURES)

    async def recover_output(self, error: BridgeError, sent: str, window: LogWindow) -> str | None:
        """What the model wrote, from the beginning or from where the parser gave up.

        `said` is the text that came before.
        """
        if old := OLD_ERROR.search(error.message):
            return {0: old[2], len(sent.encode()): sent + old[2]}.get(int(old[1]))
        log = self._backend.provider.log()
        if LOGGED_FAILURE not in error.message or log is None:
            return None
        for _ in range(_LOG_POLLS):
            if found := unparsed_outputs(log.since(window.position)):
                # Of two nobody can say which is ours.
                return found[0] if window.exclusive and len(found) == 1 else None
            await asyncio.sleep(_LOG_POLL_INTERVAL)
        return None

    async def send_chat(
        self, request: ChatRequest, headers: "Headers", markers: Sequence[str]
    ) -> RawResponse:
        if _LOSES_CALLS.search(await self.chat_template()) and can_use_completion(request.body):
            return await self.send_completion(request, headers, markers)
        return RawResponse(
            await self._backend.send_chat(
                replace(request, body=without_parser(request.body)), headers
            ),
            None,
        )

    async def send_completion(
        self, request: ChatRequest, headers: "Headers", markers: Sequence[str]
    ) -> RawResponse:
        """Without the chat route: its prompt, as plain text to be completed."""
        prompt = await self.apply_template(request)
        body = completion_body(request.body, prompt, list(markers)) | await self._model_field(
            request
        )
        return RawResponse(
            await self._backend.post(exact_json.dumps(body), headers, "/completion"), prompt
        )

    async def apply_template(self, request: ChatRequest) -> str:
        """As the chat route would make it for the raw question."""
        asked = without_parser(request.body) | {"stream": False} | await self._model_field(request)
        answered = await self._backend.post_json("/apply-template", exact_json.dumps(asked))
        prompt = answered.get("prompt") if isinstance(answered, dict) else None
        if not isinstance(prompt, str):
            raise InvalidBackendResponse(
                "the backend was asked for a prompt (POST /apply-template) and answered with "
                "something else"
            )
        return prompt

    async def count_tokens(self, request: ChatRequest, text: str) -> int:
        """So many it has, as far as somebody tells."""
        asked = {"content": text, "add_special": False} | await self._model_field(request)
        counted = await self._backend.optional_json("/tokenize", asked)
        tokens = counted.get("tokens") if isinstance(counted, dict) else None
        return len(tokens) if isinstance(tokens, list) else 0

    async def chat_template(self) -> str:
        """Return the model's template, or nothing: at a public host, for example, only the API is
        asked.

        It is read again every TEMPLATE_KEPT seconds: another model may have been loaded at the same
        address.
        """
        known = None
        try:
            address = await self._backend.provider.address()
            known = self._templates.get(address)
            if known is None or not known.is_fresh:
                known = await self._read_template(address)
        except BridgeError:
            if known is None:
                return ""  # later it may be
            # It does not tell now: no request waits for that again in the next seconds.
            known.read_at = time.monotonic()
        self.template = known.text
        return known.text

    async def _read_template(self, address: BackendAddress) -> "_CachedTemplate":
        read = _CachedTemplate(await self._fetch_template(), time.monotonic())
        for other in [
            other for other, template in self._templates.items() if not template.is_fresh
        ]:
            del self._templates[other]  # our children take a new port at each start
        self._templates[address] = read
        return read

    async def _fetch_template(self) -> str:
        try:
            props = await self._backend.get_json("/props")
        except ClientError:
            return ""
        template = props.get("chat_template") if isinstance(props, dict) else None
        return template if isinstance(template, str) else ""

    async def _model_field(self, request: ChatRequest) -> dict[str, str]:
        model = await self._backend.resolve_model(request.model)
        return {} if model is None else {"model": model}
