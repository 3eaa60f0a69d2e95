"""What every route needs to know, made once when the house is opened."""

from dataclasses import dataclass, field

from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import Http
from proxy.backends.place import Place, Wish
from proxy.dialects import Parser
from proxy.requests.question import Question, user_and_tool_texts
from proxy.settings import Settings
from proxy.stream.parser import ThinkingMode
from proxy.web.keeping import Room
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
    kept: Room = field(default_factory=Room)

    async def backend(self, wish: Wish | None = None) -> Backend:
        """Who answers; with a wish, for one request, whose place has to be left."""
        backend = await self.detection.backend()
        return backend if wish is None else backend.at(self.place.at(wish))

    def warm_up(self) -> None:
        """Compile what every answer is searched for, which takes some tenths of a second: in a thread, before the first request."""
        for tools in ((), ({"name": "a"},)):
            parser = Parser(tools, self.settings.tool_dialect, self._thinking)
            parser.think("a")
            parser.feed("a\n")
            parser.close()

    @property
    def _thinking(self) -> ThinkingMode:
        return "tags" if self.settings.thinking == "auto" else self.settings.thinking

    def parser(self, question: Question, backend: Backend, known: ThinkingMode | None = None) -> Parser:
        """`known`: how the answer begins, where nobody has to guess."""
        said = backend.place.dialect()  # of this model, in llama-server.conf
        return Parser(
            question.tools,
            (said,) if said else self.settings.tool_dialect,
            known or self._thinking,
            backend.hint(question.model),
            request_texts=user_and_tool_texts(question.body),
            quoted_calls=self.settings.quoted_calls,
        )
