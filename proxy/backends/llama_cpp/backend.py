"""llama.cpp's llama-server: our own child, or one that somebody else runs.

It sends nothing before it has read the whole prompt, unless it is asked for its progress; it takes
a tool_choice that names a tool for "auto"; it answers 500 to questions that can never be answered;
it counts the tokens of each choice by themselves; and a request with X-Conversation-Id goes on
generating when the client has left.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import httpx

from proxy.backends.base import Backend, Headers
from proxy.backends.llama_cpp.client import RawWay
from proxy.backends.provider import Claim, Place
from proxy.backends.response_reader import Reply, Said
from proxy.backends.server_info import Facts, Seen
from proxy.chat_request.backend_body import Needs, output_limit, prepare
from proxy.chat_request.request import Question
from proxy.chat_request.session_id import session_of
from proxy.errors import (
    BackendFailed,
    BackendRefused,
    BadAnswer,
    BridgeError,
    ContextOverflow,
    NotFound,
)
from proxy.parsing.dialect import Hint
from proxy.parsing.events import Finish, Usage

# Template, schema, history, image: asked again, the answer is the same, so a client must not ask
# again.
_FOR_EVER = re.compile(
    r"JSON schema error|failed to parse grammar|Failed to initialize samplers|"
    r"Unable to generate parser|While executing|Jinja|jinja|"
    r"Failed to parse (messages|tools|tool call arguments)|is not supported|json\.exception|"
    r"Unknown reasoning format"
)
_COUNTING = 5.0  # seconds
# What is posted there generates nothing. Every other path may, so that it takes the context of a
# conversation.
_NO_CONTEXT = re.compile(
    r"/(tokenize|detokenize|apply-template|input_tokens|count_tokens|embeddings?|rerank|"
    r"reranking|props|lora-adapters|slots/\d+)/?$"
)
_BY_CHANCE = re.compile(r"does not match the expected|Failed to parse input")


class _Reply(Reply):
    """Adds up the tokens of several choices.

    The usage of a choice follows its finish and does not say whose it is. So a report belongs to
    the choice that finished last, and a further one for the same choice takes the place of the one
    before.
    """

    def __init__(self, tools: tuple[Any, ...] = ()) -> None:
        super().__init__(tools)
        self._finished: int | None = None
        self._written: dict[int | None, int] = {}

    def read(self, chunk: dict[str, Any]) -> Iterator[Said]:
        for index, event in super().read(chunk):
            if isinstance(event, Finish):
                self._finished = index
                self._written.pop(None, None)  # counted while the choice was still being written
            if isinstance(event, Usage):
                self._written[self._finished] = event.completion
                yield index, replace(event, completion=sum(self._written.values()))
            else:
                yield index, event


class LlamaCpp(Backend):
    kind = "llama_cpp"
    never_forwarded = frozenset({b"x-conversation-id"})
    needs = Needs(progress=True, tool_choice="words", logprobs_beside_tools=False)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._raw = RawWay(self)

    def at(self, place: Place) -> Self:
        other = super().at(place)
        if other is not self:
            other._raw = self._raw.at(other)
        return other

    @classmethod
    def recognises(cls, seen: Seen) -> bool:
        return seen.headers.get("server") == "llama.cpp" or seen.owned_by("llamacpp")

    def meaning(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        error = super().meaning(status, body, headers)
        if (
            isinstance(error, BackendFailed)
            and _FOR_EVER.search(error.message)
            and not _BY_CHANCE.search(error.message)
        ):
            return BackendRefused(error.message)
        return error

    def takes_context(self, path: str) -> bool:
        return _NO_CONTEXT.search(path) is None

    def reply(self, tools: tuple[Any, ...] = ()) -> Reply:
        return _Reply(tools)

    def forget(self) -> None:
        super().forget()
        self._raw.forget()

    async def ask(self, question: Question, headers: Headers) -> httpx.Response:
        await self._raw.chat_template()  # it tells how the model writes; asked once
        return await super().ask(question, headers)

    def hint(self, asked: str | None) -> Hint:
        return replace(super().hint(asked), template=self._raw.template or "")

    def raw_way(self) -> RawWay:
        return self._raw

    async def admit(self, question: Question) -> None:
        count = partial(self._fitting_prompt, question)
        await self.place.admit(
            Claim(
                count,
                output_limit(question),
                bool(question.tools),
                question.choices,
                session_of(question.body),
            )
        )

    async def refuse_overflow(self, question: Question) -> bool:
        """It counts while it is busy with others; its own refusal would only come when a slot is
        free.
        """
        return await self._fitting_prompt(question) is not None

    async def _fitting_prompt(self, question: Question) -> int | None:
        """Return the tokens of the prompt, or None if the server does not count them.

        Raises ContextOverflow if they are too many.
        """
        try:
            async with asyncio.timeout(_COUNTING):
                name = self.place.model() or await self.model_for(question.model)
                prompt = await self._count(question, name)
                context = next(
                    (
                        model.context
                        for model in await self.models()
                        if name in (model.id, *model.aliases)
                    ),
                    None,
                )
        except (TimeoutError, BridgeError):
            return None  # it was only asked in order to know early
        if prompt is None or context is None:
            return None
        if prompt >= context:
            sentence = (
                f"request ({prompt} tokens) exceeds the available context size ({context} "
                f"tokens), try increasing it"
            )
            raise ContextOverflow(sentence, context=context, prompt=prompt)
        return prompt

    async def _count(self, question: Question, name: str | None) -> int | None:
        counted = await self.post_json(
            "/v1/chat/completions/input_tokens", prepare(question, self.needs, name)
        )
        prompt = counted.get("input_tokens") if isinstance(counted, dict) else None
        return prompt if isinstance(prompt, int) else None

    async def facts(self, kept: float = 0.0) -> Facts:
        try:
            props = await self.get_json("/props")
        except NotFound:
            return await super().facts(kept)  # at a public host only its API is asked
        if not isinstance(props, dict):
            raise BadAnswer("the backend calls itself llama.cpp, but GET /props tells no props")
        settings = _dict(props, "default_generation_settings")
        context, alias = settings.get("n_ctx"), props.get("model_alias")
        has_tools = _dict(props, "chat_template_caps").get("supports_tools")
        # As a router of several it has no props.
        listed = Facts(alias) if isinstance(alias, str) and alias else await super().facts(kept)
        return Facts(
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
