"""Factory for the parser of an answer, based on the settings, the request and the model."""

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

_TOOLS = ({"name": "write_file"},)  # the tool that the samples of the dialects call


@dataclass(frozen=True)
class ParserFactory:
    settings: Settings
    warm: set[tuple[tuple[ReasoningTags, ...], bool]] = field(default_factory=set)

    def parser(
        self, request: ChatRequest, backend: Backend, known: ThinkingMode | None = None
    ) -> Parser:
        """Return a new parser for an answer to `request`.

        `known` overrides the thinking mode of the settings, if the prompt shows how the answer
        begins.
        """
        said = backend.provider.dialect()  # set in llama-server.conf for this model
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

        This takes a few tenths of a second, so call it in a thread before the first request.
        """
        for tools in ((), _TOOLS):
            self._try(tools, "a\n")

    def further_warm_ups(self) -> Iterator[Callable[[], None]]:
        """Yield functions that each compile the patterns of one dialect.

        Each takes a few hundredths of a second.
        """
        for dialect in select(self.settings.tool_dialect):
            yield partial(self._try, _TOOLS, dialect.sample)

    async def warm_up_for(self, request: ChatRequest, backend: Backend) -> None:
        """Compile the patterns for a model with unusual reasoning tags, in a thread.

        This takes 0.2 s and 0.5 MB, so it is done only at the first request to such a model.
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
