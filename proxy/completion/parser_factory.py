"""Makes the parser of an answer from the settings, the request and what is known of the model."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from proxy.backends.base import Backend
from proxy.chat_request.request import ChatRequest, user_and_tool_texts
from proxy.dialects import UNKNOWN_MODEL, Parser, reasoning_tags, select
from proxy.parsing.dialect import ReasoningTags
from proxy.parsing.parser import ThinkingMode
from proxy.settings import Settings

_TOOLS = ({"name": "write_file"},)  # the tool in the samples of the dialects


@dataclass(frozen=True)
class ParserFactory:
    settings: Settings
    warm: set[tuple[tuple[ReasoningTags, ...], bool]] = field(default_factory=set)

    def parser(
        self, request: ChatRequest, backend: Backend, known: ThinkingMode | None = None
    ) -> Parser:
        """Return a new parser. `known` tells how the answer begins, if the prompt shows it."""
        said = backend.provider.dialect()  # `dialect` of this model in llama-server.conf
        return Parser(
            request.tools,
            (said,) if said else self.settings.tool_dialect,
            known or self._thinking,
            backend.model_hint(request.model),
            request_texts=user_and_tool_texts(request.body),
            quoted_calls=self.settings.quoted_calls,
        )

    def warm_up(self) -> None:
        """Compile the patterns that every answer needs.

        This takes some tenths of a second: call it in a thread, before the first request.
        """
        for tools in ((), _TOOLS):
            self._try(tools, "a\n")

    def further_warm_ups(self) -> Iterator[Callable[[], None]]:
        """Yield steps that compile the patterns of one dialect each, in a few hundredths of a
        second.
        """
        for dialect in select(self.settings.tool_dialect):
            yield partial(self._try, _TOOLS, dialect.sample)

    async def warm_up_for(self, request: ChatRequest, backend: Backend) -> None:
        """Compile in a thread what a model with its own kind of reasoning needs.

        This takes a fifth of a second and half a megabyte, so it happens at the first request to
        such a model.
        """
        thoughts, tools = reasoning_tags(backend.model_hint(request.model)), bool(request.tools)
        if thoughts != reasoning_tags(UNKNOWN_MODEL) and (thoughts, tools) not in self.warm:
            await asyncio.to_thread(self.parser, request, backend)
            self.warm.add((thoughts, tools))

    def _try(self, tools: tuple[dict[str, str], ...], text: str) -> None:
        parser = Parser(tools, self.settings.tool_dialect, self._thinking)
        parser.feed_reasoning("a")
        parser.feed(text)
        parser.close()

    @property
    def _thinking(self) -> ThinkingMode:
        return "tags" if self.settings.thinking == "auto" else self.settings.thinking
