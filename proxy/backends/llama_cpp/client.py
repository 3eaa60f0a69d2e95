"""Client for llama-server when its own parser fails or is bypassed.

The parser fails on unexpected output. Older builds quote that output in the error, and newer ones
write it to the log, which is available for a managed server. Otherwise the same prompt is sent
again with parser and grammar off, so that the output of the model arrives as text.
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

# Templates of gpt-oss, Functionary 3.2 and Command-R7B. With these, the chat route fails even with
# the parser off, or drops calls that the request does not ask for.
_LOSES_CALLS = re.compile(r"<\|channel\|>|>>>all|<\|START_ACTION\|>")
TEMPLATE_TTL = 30.0  # seconds
_LOG_POLLS, _LOG_POLL_INTERVAL = (
    30,
    0.01,
)  # seconds; the log is written by another thread and may lag behind the answer


@dataclass(frozen=True, slots=True)
class RawResponse:
    response: httpx.Response
    prompt: str | None  # the exact prompt, or None if the chat route made it


@dataclass(slots=True)
class _CachedTemplate:
    text: str
    read_at: float  # monotonic time in seconds

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at <= TEMPLATE_TTL


class RawMode:
    def __init__(self, backend: "Backend") -> None:
        self._backend = backend
        self.template: str | None = None  # the chat template; None until it was fetched
        self._templates: dict[BackendAddress, _CachedTemplate] = {}
        self._windows: list[LogWindow] = []

    def for_backend(self, backend: "Backend") -> "RawMode":
        """Return a copy for `backend`, which shares the cached templates and the log windows."""
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
        """Return the whole output of the model, or None if neither error nor log contain it.

        `sent` is the text that the backend had sent before the error.
        """
        if old := OLD_ERROR.search(error.message):
            return {0: old[2], len(sent.encode()): sent + old[2]}.get(int(old[1]))
        log = self._backend.provider.log()
        if LOGGED_FAILURE not in error.message or log is None:
            return None
        for _ in range(_LOG_POLLS):
            if found := unparsed_outputs(log.since(window.position)):
                # With several outputs or requests, the output may belong to another request.
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
        """Send the formatted prompt to `/completion`, which bypasses the chat route."""
        prompt = await self.apply_template(request)
        body = completion_body(request.body, prompt, list(markers)) | await self._model_field(
            request
        )
        return RawResponse(
            await self._backend.post(exact_json.dumps(body), headers, "/completion"), prompt
        )

    async def apply_template(self, request: ChatRequest) -> str:
        """Return the prompt that the chat template makes of the request."""
        asked = without_parser(request.body) | {"stream": False} | await self._model_field(request)
        answered = await self._backend.post_json("/apply-template", exact_json.dumps(asked))
        prompt = answered.get("prompt") if isinstance(answered, dict) else None
        if not isinstance(prompt, str):
            raise InvalidBackendResponse(
                "the backend's response to POST /apply-template contains no prompt"
            )
        return prompt

    async def count_tokens(self, request: ChatRequest, text: str) -> int:
        """Return the number of tokens of `text`, or 0 if the server does not count them."""
        asked = {"content": text, "add_special": False} | await self._model_field(request)
        counted = await self._backend.optional_json("/tokenize", asked)
        tokens = counted.get("tokens") if isinstance(counted, dict) else None
        return len(tokens) if isinstance(tokens, list) else 0

    async def chat_template(self) -> str:
        """Return the chat template of the model, or "" if the server does not provide it.

        The template is cached for TEMPLATE_TTL seconds, because another model may be loaded at the
        same address.
        """
        known = None
        try:
            address = await self._backend.provider.address()
            known = self._templates.get(address)
            if known is None or not known.is_fresh:
                known = await self._read_template(address)
        except BridgeError:
            if known is None:
                return ""  # not cached, because it may be available later
            # The server does not respond. Use the old template, and do not ask again for a while.
            known.read_at = time.monotonic()
        self.template = known.text
        return known.text

    async def _read_template(self, address: BackendAddress) -> "_CachedTemplate":
        read = _CachedTemplate(await self._fetch_template(), time.monotonic())
        for other in [
            other for other, template in self._templates.items() if not template.is_fresh
        ]:
            del self._templates[other]  # managed processes take a new port at each start
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
