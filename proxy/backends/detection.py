"""Which kind of server answers: one GET of its models, which are wanted anyway.

A server at home whose models show nothing is looked at more closely. Nothing depends on getting it
right: an answer is read by its shape, and the plainest way of asking suits everybody.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import orjson

from proxy.backends.address import Address
from proxy.backends.base import Backend, probe
from proxy.backends.http import Http
from proxy.backends.models import items_in
from proxy.backends.provider import Place
from proxy.backends.server_info import Seen
from proxy.backends.single_flight import Shared
from proxy.errors import BackendFailed, BridgeError, TimedOut

HELD = 1.0  # seconds
KEPT = 30.0  # seconds
_NOT_UP_YET = (502, 503, 504)  # so says a gateway before it, or a server that still loads


class Detection:
    """Gives the backend.

    What it is, is found out at the first question, and checked again when there is reason to.

    1. After a refusal, a lost or a refused connection: before the next request, which waits for it.
    2. Every KEPT seconds while there are requests: beside them, none waits.

    So another server that takes over the address is known one failed request later, or after KEPT
    seconds where all of its answers fit. However many requests wait, the server is asked once, and
    where it gives no answer that holds for HELD seconds.
    """

    def __init__(
        self,
        kinds: tuple[type[Backend], ...],
        http: Http,
        place: Place,
        wanted_model: str | None,
        *,
        text_is_read: bool = True,
    ) -> None:
        self._kinds = kinds
        self._make: Callable[[type[Backend]], Backend] = lambda kind: kind(
            http, place, wanted_model, text_is_read=text_is_read
        )
        self._plain = self._make(kinds[-1])
        self._http = http
        self._place = place
        self._known: Backend | None = None
        self._doubts = self._settled = 0
        self._checked = 0.0
        self._check = Shared(self._find_out, HELD)

    async def backend(self) -> Backend:
        if self._known is None or self._doubts != self._settled:
            try:
                return await self._check.outcome()
            # It generates, or is not up yet: it is asked as before, else plainly, and found out
            # later.
            except (TimedOut, BackendFailed):
                return self._known or self._plain
        if len(self._kinds) > 1 and time.monotonic() - self._checked > KEPT:
            self._check.begin()
        return self._known

    def doubt(self) -> None:
        """Call this when another server may have taken the place of the known one."""
        self._doubts += 1

    async def _find_out(self) -> Backend:
        known, doubts = self._known, self._doubts
        if known is not None and known.busy:
            return known  # it may not be asked now
        try:
            async with known.turn() if known is not None else contextlib.nullcontext():
                kind = await self._detect()
        finally:
            self._checked = time.monotonic()
        if known is None or type(known) is not kind:
            known = self._make(kind)
        elif doubts != self._settled:
            known.forget()
        self._known, self._settled = known, doubts
        return known

    async def _detect(self) -> type[Backend]:
        if len(self._kinds) == 1:
            return self._kinds[0]
        address = await self._place.address()
        response = await self._http.ask(probe(address, "/v1/models"))
        seen = Seen(response.headers, _items(await self._http.read(response)))
        for kind in self._kinds:
            if kind.recognises(seen):
                return kind
        if not address.is_public:
            for kind in self._kinds:
                if await kind.greets(lambda path: self._look(address, path)):
                    return kind
        if response.status_code in _NOT_UP_YET:
            raise BackendFailed("what stands there does not answer yet")
        return self._kinds[-1]

    async def _look(self, address: Address, path: str) -> bytes:
        try:
            response = await self._http.ask(probe(address, path))
            return await self._http.read(response, limit=10_000)
        except BridgeError:
            return b""


def _items(body: bytes) -> list[dict[str, Any]]:
    try:
        return items_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        return []
