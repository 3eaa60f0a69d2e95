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

    def parser(self, question: Question, backend: Backend, known: ThinkingMode | None = None) -> Parser:
        """`known`: how the answer begins, where nobody has to guess."""
        guessed: ThinkingMode = "tags" if self.settings.thinking == "auto" else self.settings.thinking
        return Parser(question.tools, self.settings.tool_dialect, known or guessed, backend.hint(question.model))
