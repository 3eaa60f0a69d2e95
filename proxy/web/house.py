"""What every route needs to know, made once when the house is opened."""

from dataclasses import dataclass

from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import Http
from proxy.backends.place import Place
from proxy.dialects import Parser
from proxy.requests.question import Question
from proxy.settings import Settings
from proxy.stream.parser import ThinkingMode


@dataclass(frozen=True)
class House:
    settings: Settings
    http: Http
    place: Place
    detection: Detection
    keys: tuple[str, ...]  # empty: the door is open

    async def backend(self) -> Backend:
        return await self.detection.backend()

    def parser(self, question: Question, backend: Backend, begun: ThinkingMode | None = None) -> Parser:
        """`begun`: how the answer begins, where its prompt was seen. What the settings say of it wins."""
        thinking: ThinkingMode = (begun or "tags") if self.settings.thinking == "auto" else self.settings.thinking
        return Parser(question.tools, self.settings.tool_dialect, thinking, backend.hint(question.model))
