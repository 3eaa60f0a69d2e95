"""`/health`: whether a request would be served now, by what, and if not, why."""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from proxy.backends.base import Backend
from proxy.backends.server_info import Facts
from proxy.backends.single_flight import Shared
from proxy.errors import BackendFailed, BadAnswer, BridgeError, Refused
from proxy.web.connection import Connection
from proxy.web.state import House

_ASKED_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """As JSON it is the body of /health."""

    status: str  # ok | unavailable
    backend: str | None = None
    url: str | None = None
    model: str | None = None
    context: int | None = None
    # What the model takes: text, image, audio; None if unknown.
    inputs: tuple[str, ...] | None = None
    # Whether the model's template shows tools to the model; None if unknown.
    tools: bool | None = None
    device: str | None = None
    reason: str | None = None
    # Our own children: state, device, layers, context, memory.
    models: list[dict[str, Any]] | None = None
    waiting: tuple[str, ...] = ()  # what those are told who wait for more than a moment

    def told(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in asdict(self).items()
            if key != "models" or value is not None
        }

    @property
    def expected(self) -> str | None:
        """The model; a child of ours is known by name before it is ready."""
        return self.model or next((str(model["id"]) for model in self.models or []), None)

    @property
    def expected_context(self) -> int | None:
        """The context of one conversation; that of our own model is known from its options
        before it is ready.
        """
        known = [
            model.get("context") for model in self.models or [] if model["id"] == self.expected
        ]
        return self.context or next(iter(known), None)

    @property
    def failed(self) -> bool:
        """No child could be started, and none is on its way."""
        return bool(self.models) and all(
            model.get("state") == "failed" for model in self.models or []
        )

    @property
    def cure(self) -> str | None:
        """The command that puts an unused GPU to work."""
        return next((str(model["cure"]) for model in self.models or [] if model.get("cure")), None)

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class Status:
    def __init__(self, house: House) -> None:
        self._house = house
        self._report: Report | None = None
        self._asked = 0.0
        self._renewal = Shared(self._renew)

    async def __call__(self, connection: Connection) -> None:
        """Answer with the whole report, or without a key, where one is needed, with the status
        alone.
        """
        report = await self.now()
        may_read = self._house.keys.open(connection.headers)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        body = orjson.dumps(report.told() if may_read else {"status": report.status})
        await connection.answer(200 if report.ok else 503, body, headers)

    async def now(self, kept: float = 0.0) -> Report:
        """However many ask, the backend is asked once a second; also when a child of ours has
        changed.
        """
        report, old = self._report, time.monotonic() - self._asked >= max(kept, _ASKED_EVERY)
        if report is None or old or self._house.place.details() != report.models:
            report = await self._renewal.outcome()
        return replace(report, waiting=tuple(self._house.ledger.waiting()))

    async def _renew(self) -> Report:
        details = self._house.place.details()
        self._report = replace(await self._ask(), models=details)
        self._asked = time.monotonic()
        return self._report

    async def _ask(self) -> Report:
        place = self._house.place
        if (reason := place.not_ready()) is not None:
            return Report("unavailable", device=place.device(), reason=reason)
        if place.asleep():
            known = next(
                (model for model in place.models() or [] if model.id == place.model()), None
            )
            return Report(
                "ok",
                model=place.model(),
                context=known.context if known else None,
                reason="asleep: the next request loads it",
            )
        try:
            address = await place.address()
            backend, facts = await self._facts()
        except BridgeError as error:
            return Report(
                "unavailable",
                model=self._house.settings.backend_model,
                device=place.device(),
                reason=error.message,
            )
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

    async def _facts(self) -> tuple[Backend, Facts]:
        """Ask the backend.

        Where its answer does not fit its kind, another server may be there now: then ask that one.
        """
        backend = await self._house.backend()
        try:
            return backend, await backend.facts()
        except (Refused, BadAnswer, BackendFailed):
            self._house.detection.doubt()
            if (other := await self._house.backend()) is backend:
                raise
        return other, await other.facts()
