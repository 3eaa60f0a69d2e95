"""What every route needs to know, made once when the house is opened."""

from dataclasses import dataclass

from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import Http
from proxy.backends.place import Place
from proxy.dialects import Parser
from proxy.requests.question import Question
from proxy.settings import Settings
from proxy.web.keys import Keys
from proxy.web.ledger import Ledger


@dataclass(frozen=True)
class House:
    settings: Settings
    http: Http
    place: Place
    detection: Detection
    keys: Keys
    ledger: Ledger

    async def backend(self) -> Backend:
        return await self.detection.backend()

    def parser(self, question: Question) -> Parser:
        dialect = self.settings.tool_dialect
        thinking = "tags" if self.settings.thinking == "auto" else self.settings.thinking
        return Parser(question.tools, dialect[0] if len(dialect) == 1 else dialect, thinking)
