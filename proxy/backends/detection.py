"""Detection of the kind of server at the backend address.

The model list, which is needed anyway, usually shows the kind. A private server whose list does not
is probed at further paths. A wrong result does little harm: answers are read by their shape, and
plain requests work with every server.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import orjson

from proxy.backends.address import BackendAddress
from proxy.backends.base import Backend, probe_request
from proxy.backends.http import HttpClient
from proxy.backends.models import list_items
from proxy.backends.provider import Provider
from proxy.backends.server_info import ModelsResponse
from proxy.backends.single_flight import SingleFlight
from proxy.errors import BackendFailed, BackendTimeout, BridgeError

ERROR_TTL = 1.0  # seconds
RECHECK_INTERVAL = 30.0  # seconds
_STARTING_STATUSES = (502, 503, 504)  # sent by a gateway, or by a server that is still loading


class Detection:
    """Source of the backend object, which detects the kind of server and repeats that when needed.

    The first request waits for the detection. After a refusal or a failed connection
    (`mark_stale`), the next request waits for another one. Otherwise the detection is repeated in
    the background every RECHECK_INTERVAL seconds while requests arrive. So a different server at
    the same address is noticed after one failed request, or after RECHECK_INTERVAL.

    Concurrent requests share one detection. A failed detection is not repeated for ERROR_TTL.
    """

    def __init__(
        self,
        kinds: tuple[type[Backend], ...],
        http: HttpClient,
        provider: Provider,
        default_model: str | None,
        *,
        parses_text: bool = True,
    ) -> None:
        self._kinds = kinds
        self._make: Callable[[type[Backend]], Backend] = lambda kind: kind(
            http, provider, default_model, parses_text=parses_text
        )
        self._fallback = self._make(kinds[-1])
        self._http = http
        self._provider = provider
        self._known: Backend | None = None
        self._stale_marks = self._checked_marks = 0
        self._checked_at = 0.0
        self._check = SingleFlight(self._redetect, ERROR_TTL)

    async def backend(self) -> Backend:
        if self._known is None or self._stale_marks != self._checked_marks:
            try:
                return await self._check.result()
            # The server may be generating or still starting. Use the last known kind, or the
            # fallback, and detect later.
            except (BackendTimeout, BackendFailed):
                return self._known or self._fallback
        if len(self._kinds) > 1 and time.monotonic() - self._checked_at > RECHECK_INTERVAL:
            self._check.start()
        return self._known

    def mark_stale(self) -> None:
        """Request another detection, because a different server may have taken over the address."""
        self._stale_marks += 1

    async def _redetect(self) -> Backend:
        known, doubts = self._known, self._stale_marks
        if known is not None and known.busy:
            return known  # a request now would interrupt an answer
        try:
            async with known.exclusive() if known is not None else contextlib.nullcontext():
                kind = await self._detect()
        finally:
            self._checked_at = time.monotonic()
        if known is None or type(known) is not kind:
            known = self._make(kind)
        elif doubts != self._checked_marks:
            known.invalidate()
        self._known, self._checked_marks = known, doubts
        return known

    async def _detect(self) -> type[Backend]:
        if len(self._kinds) == 1:
            return self._kinds[0]
        address = await self._provider.address()
        response = await self._http.send_retryable(probe_request(address, "/v1/models"))
        seen = ModelsResponse(response.headers, _items(await self._http.read(response)))
        for kind in self._kinds:
            if kind.matches(seen):
                return kind
        if not address.is_public:
            for kind in self._kinds:
                if await kind.probe(lambda path: self._fetch(address, path)):
                    return kind
        if response.status_code in _STARTING_STATUSES:
            raise BackendFailed("the server is not ready yet")
        return self._kinds[-1]

    async def _fetch(self, address: BackendAddress, path: str) -> bytes:
        try:
            response = await self._http.send_retryable(probe_request(address, path))
            return await self._http.read(response, limit=10_000)
        except BridgeError:
            return b""


def _items(body: bytes) -> list[dict[str, Any]]:
    try:
        return list_items(orjson.loads(body))
    except orjson.JSONDecodeError:
        return []
