"""Backend for llama-server of llama.cpp, managed by this proxy or not.

Peculiarities of llama-server:
- It sends nothing before the prompt is processed, unless the request asks for progress.
- It treats a tool_choice that names a tool as "auto".
- It returns 500 for requests that can never succeed.
- It reports the usage of each choice separately.
- A request with X-Conversation-Id continues to generate after the client has disconnected.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import httpx

from proxy.backends.base import Backend, Headers
from proxy.backends.llama_cpp.client import RawMode
from proxy.backends.provider import ContextClaim, Provider
from proxy.backends.response_reader import ChoiceEvent, ResponseReader
from proxy.backends.server_info import BackendInfo, ModelsResponse
from proxy.chat_request.backend_body import Capabilities, build_body, output_limit
from proxy.chat_request.request import ChatRequest
from proxy.chat_request.session_id import session_id
from proxy.errors import (
    BackendFailed,
    BackendRefused,
    BridgeError,
    ContextOverflow,
    InvalidBackendResponse,
    NotFound,
)
from proxy.parsing.dialect import ModelHint
from proxy.parsing.events import Finish, Usage

# Errors in the template, a schema, the history or an image. A repeated request would fail again, so
# these are reported with status 400.
_PERMANENT = re.compile(
    r"JSON schema error|failed to parse grammar|Failed to initialize samplers|"
    r"Unable to generate parser|While executing|Jinja|jinja|"
    r"Failed to parse (messages|tools|tool call arguments)|is not supported|json\.exception|"
    r"Unknown reasoning format"
)
_COUNT_TIMEOUT = 5.0  # seconds
# Requests to these paths generate nothing. Requests to any other path may use the context.
_CONTEXT_FREE_PATHS = re.compile(
    r"/(tokenize|detokenize|apply-template|input_tokens|count_tokens|embeddings?|rerank|"
    r"reranking|props|lora-adapters|slots/\d+)/?$"
)
_RANDOM_FAILURE = re.compile(r"does not match the expected|Failed to parse input")


class _LlamaCppReader(ResponseReader):
    """Reader that adds up the usage of several choices.

    llama-server reports the usage of a choice after its finish reason, without an index. So a
    report belongs to the choice that finished last, and replaces an earlier report for that choice.
    """

    def __init__(self, tools: tuple[Any, ...] = ()) -> None:
        super().__init__(tools)
        self._last_finished: int | None = None
        self._completion_tokens: dict[int | None, int] = {}

    def read(self, chunk: dict[str, Any]) -> Iterator[ChoiceEvent]:
        for index, event in super().read(chunk):
            if isinstance(event, Finish):
                self._last_finished = index
                self._completion_tokens.pop(None, None)  # reported before any choice had finished
            if isinstance(event, Usage):
                self._completion_tokens[self._last_finished] = event.completion
                yield index, replace(event, completion=sum(self._completion_tokens.values()))
            else:
                yield index, event


class LlamaCpp(Backend):
    kind = "llama_cpp"
    dropped_headers = frozenset({b"x-conversation-id"})
    capabilities = Capabilities(progress=True, tool_choice="words", logprobs_beside_tools=False)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._raw_mode = RawMode(self)

    def for_request(self, provider: Provider) -> Self:
        other = super().for_request(provider)
        if other is not self:
            other._raw_mode = self._raw_mode.for_backend(other)
        return other

    @classmethod
    def matches(cls, seen: ModelsResponse) -> bool:
        return seen.headers.get("server") == "llama.cpp" or seen.owned_by("llamacpp")

    def map_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        error = super().map_error(status, body, headers)
        if (
            isinstance(error, BackendFailed)
            and _PERMANENT.search(error.message)
            and not _RANDOM_FAILURE.search(error.message)
        ):
            return BackendRefused(error.message)
        return error

    def uses_context(self, path: str) -> bool:
        return _CONTEXT_FREE_PATHS.search(path) is None

    def response_reader(self, tools: tuple[Any, ...] = ()) -> ResponseReader:
        return _LlamaCppReader(tools)

    def invalidate(self) -> None:
        super().invalidate()
        self._raw_mode.invalidate()

    async def send_chat(self, request: ChatRequest, headers: Headers) -> httpx.Response:
        await self._raw_mode.chat_template()  # shows the parser the model's dialect; cached
        return await super().send_chat(request, headers)

    def model_hint(self, asked: str | None) -> ModelHint:
        return replace(super().model_hint(asked), template=self._raw_mode.template or "")

    def raw_mode(self) -> RawMode:
        return self._raw_mode

    async def admit(self, request: ChatRequest) -> None:
        count = partial(self._prompt_tokens_if_fitting, request)
        await self.provider.admit(
            ContextClaim(
                count,
                output_limit(request),
                bool(request.tools),
                request.choices,
                session_id(request.body),
            )
        )

    async def check_overflow(self, request: ChatRequest) -> bool:
        """Raise ContextOverflow if the prompt is too long; return whether it is known to fit.

        llama-server counts tokens while all slots are busy, but refuses a prompt that is too long
        only when a slot is free.
        """
        return await self._prompt_tokens_if_fitting(request) is not None

    async def _prompt_tokens_if_fitting(self, request: ChatRequest) -> int | None:
        """Return the number of prompt tokens, or None if they cannot be counted.

        Raises ContextOverflow if the prompt does not fit into the context.
        """
        try:
            async with asyncio.timeout(_COUNT_TIMEOUT):
                name = self.provider.model() or await self.resolve_model(request.model)
                prompt = await self._count_prompt(request, name)
                context = next(
                    (
                        model.context
                        for model in await self.models()
                        if name in (model.id, *model.aliases)
                    ),
                    None,
                )
        except (TimeoutError, BridgeError):
            return None  # only an early check, which llama-server repeats
        if prompt is None or context is None:
            return None
        if prompt >= context:
            sentence = (
                f"request ({prompt} tokens) exceeds the available context size ({context} "
                f"tokens), try increasing it"
            )
            raise ContextOverflow(sentence, context=context, prompt=prompt)
        return prompt

    async def _count_prompt(self, request: ChatRequest, name: str | None) -> int | None:
        counted = await self.post_json(
            "/v1/chat/completions/input_tokens", build_body(request, self.capabilities, name)
        )
        prompt = counted.get("input_tokens") if isinstance(counted, dict) else None
        return prompt if isinstance(prompt, int) else None

    async def describe(self, max_age: float = 0.0) -> BackendInfo:
        try:
            props = await self.get_json("/props")
        except NotFound:
            return await super().describe(max_age)  # a public host offers only paths below /v1
        if not isinstance(props, dict):
            raise InvalidBackendResponse(
                "the backend claims to be llama.cpp, but GET /props is not a JSON object"
            )
        settings = _dict(props, "default_generation_settings")
        context, alias = settings.get("n_ctx"), props.get("model_alias")
        has_tools = _dict(props, "chat_template_caps").get("supports_tools")
        # In router mode llama-server has no model alias.
        listed = (
            BackendInfo(alias)
            if isinstance(alias, str) and alias
            else await super().describe(max_age)
        )
        return BackendInfo(
            model=listed.model,
            context=context if isinstance(context, int) and context > 0 else listed.context,
            template_has_tools=has_tools if isinstance(has_tools, bool) else None,
            inputs=_inputs(props.get("modalities")) or listed.inputs,
        )


def _inputs(modalities: Any) -> tuple[str, ...] | None:
    if not isinstance(modalities, dict):
        return None
    return (
        "text",
        *(
            name
            for name, tells in (("image", "vision"), ("audio", "audio"))
            if modalities.get(tells) is True
        ),
    )


def _dict(value: Any, key: str) -> dict[str, Any]:
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}
