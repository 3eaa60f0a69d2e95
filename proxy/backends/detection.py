"""Which kind of server answers: one GET of its models, which are wanted anyway. Asked anew after a connection was refused."""

import asyncio
from collections.abc import Callable

import httpx

from proxy.backends.base import Backend, authorized
from proxy.backends.http import PROBE_TIMEOUTS, Http
from proxy.backends.models import models_in
from proxy.backends.place import Place
from proxy.stream.chunks import Chunks


class Detection:
    """Gives the backend, found out at the first question and remembered."""

    def __init__(self, kinds: tuple[type[Backend], ...], http: Http, place: Place, wanted_model: str | None) -> None:
        self._kinds = kinds
        self._make: Callable[[type[Backend]], Backend] = lambda kind: kind(http, place, wanted_model)
        self._http = http
        self._place = place
        self._known: Backend | None = None
        self._asking = asyncio.Lock()

    async def backend(self) -> Backend:
        if self._known is None:
            async with self._asking:
                self._known = self._known or self._make(await self._detect())
        return self._known

    def forget(self) -> None:
        if len(self._kinds) > 1:
            self._known = None

    async def _detect(self) -> type[Backend]:
        if len(self._kinds) == 1:
            return self._kinds[0]
        address = await self._place.address()
        request = httpx.Request("GET", address.base + "/models", headers=authorized(address, []), extensions={"timeout": PROBE_TIMEOUTS})
        response = await self._http.ask(request)
        models = models_in(Chunks().parse(await self._http.read(response)))
        return next((kind for kind in self._kinds if kind.recognises(response.headers, models)), self._kinds[-1])
