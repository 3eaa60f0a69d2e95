"""Which kind of server answers: one GET of its models, which are wanted anyway. Asked anew after a connection was refused.

A server at home whose models show nothing is looked at more closely. Nothing depends on getting it right: an answer is read
by its shape, and the plainest way of asking suits everybody.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from proxy.backends.address import Address
from proxy.backends.base import Backend, Seen, probe
from proxy.backends.http import Http
from proxy.backends.models import items_in
from proxy.backends.place import Place
from proxy.errors import BackendFailed, BridgeError, TimedOut

_NOT_UP_YET = (502, 503, 504)  # so says a gateway before it, or a server that still loads


class Detection:
    """Gives the backend, found out at the first question and remembered."""

    def __init__(
        self, kinds: tuple[type[Backend], ...], http: Http, place: Place, wanted_model: str | None, *, text_is_read: bool = True
    ) -> None:
        self._kinds = kinds
        self._make: Callable[[type[Backend]], Backend] = lambda kind: kind(http, place, wanted_model, text_is_read=text_is_read)
        self._http = http
        self._place = place
        self._known: Backend | None = None
        self._asking = asyncio.Lock()

    async def backend(self) -> Backend:
        if self._known is None:
            async with self._asking:
                try:
                    self._known = self._known or self._make(await self._detect())
                except (TimedOut, BackendFailed):  # it generates, or is not up yet: it is asked plainly, and found out later
                    return self._make(self._kinds[-1])
        return self._known

    def forget(self) -> None:
        if len(self._kinds) > 1:
            self._known = None

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
