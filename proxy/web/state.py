"""What every route needs to know, made once when the house is opened."""

from dataclasses import dataclass, field

from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import Http
from proxy.backends.provider import Place, Wish
from proxy.completion.answer_state import Room
from proxy.completion.parser_factory import ParserFactory
from proxy.settings import Settings
from proxy.web.api_keys import Keys
from proxy.web.inflight import Ledger


@dataclass(frozen=True)
class House:
    settings: Settings
    http: Http
    place: Place
    detection: Detection
    keys: Keys
    ledger: Ledger
    parsers: ParserFactory
    kept: Room = field(default_factory=Room)

    async def backend(self, wish: Wish | None = None) -> Backend:
        """Who answers; with a wish, for one request, whose place has to be left."""
        backend = await self.detection.backend()
        return backend if wish is None else backend.at(self.place.at(wish))
