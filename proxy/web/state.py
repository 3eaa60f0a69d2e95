"""State that all endpoints share, created once by the application."""

from dataclasses import dataclass, field

from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import HttpClient
from proxy.backends.provider import Provider, RouteRequest
from proxy.completion.answer_state import MemoryBudget
from proxy.completion.parser_factory import ParserFactory
from proxy.settings import Settings
from proxy.web.api_keys import ApiKeys
from proxy.web.inflight import InflightRequests


@dataclass(frozen=True)
class AppState:
    settings: Settings
    http: HttpClient
    provider: Provider
    detection: Detection
    api_keys: ApiKeys
    inflight: InflightRequests
    parsers: ParserFactory
    memory_budget: MemoryBudget = field(default_factory=MemoryBudget)

    async def backend(self, route: RouteRequest | None = None) -> Backend:
        """Return the backend, detected on first use.

        With `route`, the backend holds a lease for one request, and the caller must release it with
        `backend.provider.release()`.
        """
        backend = await self.detection.backend()
        return backend if route is None else backend.for_request(self.provider.acquire(route))
