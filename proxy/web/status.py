"""`/health`: whether a request would be served now, by what, and if not, why."""

import asyncio
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from proxy.errors import BridgeError
from proxy.web.connection import Connection
from proxy.web.house import House

_ASKED_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """As JSON it is the body of /health."""

    status: str  # ok | unavailable
    backend: str | None = None
    url: str | None = None
    model: str | None = None
    context: int | None = None
    inputs: tuple[str, ...] | None = None  # what the model takes: text, image, audio; None where nobody can tell
    tools: bool | None = None  # whether the model's template shows tools to the model; None where nobody can tell
    device: str | None = None
    reason: str | None = None
    models: list[dict[str, Any]] | None = None  # our own children: state, device, layers, context, memory
    waiting: tuple[str, ...] = ()  # what those are told who wait for more than a moment

    def told(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "models" or value is not None}

    @property
    def expected(self) -> str | None:
        """The model; a child of ours is known by name before it is ready."""
        return self.model or next((str(model["id"]) for model in self.models or []), None)

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class Status:
    def __init__(self, house: House) -> None:
        self._house = house
        self._report: Report | None = None
        self._asked = 0.0
        self._asking = asyncio.Lock()

    async def __call__(self, connection: Connection) -> None:
        report = await self.now()
        if report.reason is not None and not self._house.keys.open(connection.headers):
            report = replace(report, reason=report.reason.partition("\n")[0])  # the log of a server is not for everybody
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        await connection.answer(200 if report.ok else 503, orjson.dumps(report.told()), headers)

    async def now(self, kept: float = 0.0) -> Report:
        """However many ask, the backend is asked once a second; also when a child of ours has changed."""
        async with self._asking:
            details, old = self._house.place.details(), time.monotonic() - self._asked >= max(kept, _ASKED_EVERY)
            if self._report is None or old or details != self._report.models:
                self._report = replace(await self._ask(), models=details)
                self._asked = time.monotonic()
            return replace(self._report, waiting=tuple(self._house.ledger.waiting()))

    async def _ask(self) -> Report:
        place = self._house.place
        if (reason := place.not_ready()) is not None:
            return Report("unavailable", device=place.device(), reason=reason)
        if place.asleep():
            known = next((model for model in place.models() or [] if model.id == place.model()), None)
            return Report("ok", model=place.model(), context=known.context if known else None, reason="asleep: the next request loads it")
        try:
            address = await place.address()
            backend = await self._house.backend()
            facts = await backend.facts()
        except BridgeError as error:
            return Report("unavailable", model=self._house.settings.backend_model, device=place.device(), reason=error.message)
        return Report(
            "ok",
            backend=backend.kind,
            url=address.base,
            model=facts.model,
            context=facts.context,
            inputs=facts.inputs,
            tools=facts.template_has_tools,
            device=place.device(),
            reason=facts.advice,
        )
