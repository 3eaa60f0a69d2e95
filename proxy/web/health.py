"""Endpoint `/health`: whether requests can be served, and the backend and model that serve them."""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from proxy.backends.base import Backend
from proxy.backends.server_info import BackendInfo
from proxy.backends.single_flight import SingleFlight
from proxy.errors import BackendFailed, BridgeError, ClientError, InvalidBackendResponse
from proxy.web.connection import Connection
from proxy.web.state import AppState

_MIN_INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """State of the backend, as shown by `/health`, the dashboard and `doctor`."""

    status: str  # ok | unavailable
    backend: str | None = None
    url: str | None = None
    model: str | None = None
    context: int | None = None
    # Input modalities (text, image, audio); None if unknown.
    inputs: tuple[str, ...] | None = None
    # Whether the chat template handles tools; None if unknown.
    tools: bool | None = None
    device: str | None = None
    reason: str | None = None
    # State, device, layers, context and memory of each managed model; None for a remote backend.
    models: list[dict[str, Any]] | None = None
    # The reason of each request that has waited for at least five seconds.
    waiting: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in asdict(self).items()
            if key != "models" or value is not None
        }

    @property
    def expected_model(self) -> str | None:
        """Return the model name; for a managed model, it is known before loading."""
        return self.model or next((str(model["id"]) for model in self.models or []), None)

    @property
    def expected_context(self) -> int | None:
        """Return the context size in tokens; for a managed model, it is known before loading."""
        known = [
            model.get("context")
            for model in self.models or []
            if model["id"] == self.expected_model
        ]
        return self.context or next(iter(known), None)

    @property
    def failed(self) -> bool:
        """Return whether there are managed models, and all of them have failed to start."""
        return bool(self.models) and all(
            model.get("state") == "failed" for model in self.models or []
        )

    @property
    def gpu_fix(self) -> str | None:
        """Return the command that makes llama-server use an idle GPU, or None if there is none."""
        return next((str(model["cure"]) for model in self.models or [] if model.get("cure")), None)

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class Health:
    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state
        self._last_report: HealthReport | None = None
        self._checked_at = 0.0
        self._refreshing = SingleFlight(self._refresh)

    async def __call__(self, connection: Connection) -> None:
        """Respond with the report, reduced to `status` if a required API key is missing."""
        report = await self.report()
        may_read = self._app_state.api_keys.accepts(connection.headers)
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        body = orjson.dumps(report.as_dict() if may_read else {"status": report.status})
        await connection.respond(200 if report.ok else 503, body, headers)

    async def report(self, max_age: float = 0.0) -> HealthReport:
        """Return a report that is at most `max_age` seconds old, or one second if that is longer.

        A report from before the last change of a managed model is never returned.
        """
        report, old = (
            self._last_report,
            time.monotonic() - self._checked_at >= max(max_age, _MIN_INTERVAL),
        )
        if report is None or old or self._app_state.provider.details() != report.models:
            report = await self._refreshing.result()
        return replace(report, waiting=tuple(self._app_state.inflight.waiting_reasons()))

    async def _refresh(self) -> HealthReport:
        details = self._app_state.provider.details()
        self._last_report = replace(await self._check(), models=details)
        self._checked_at = time.monotonic()
        return self._last_report

    async def _check(self) -> HealthReport:
        place = self._app_state.provider
        if (reason := place.unavailable_reason()) is not None:
            return HealthReport("unavailable", device=place.device(), reason=reason)
        if place.is_unloaded():
            known = next(
                (model for model in place.models() or [] if model.id == place.model()), None
            )
            return HealthReport(
                "ok",
                model=place.model(),
                context=known.context if known else None,
                reason="unloaded; the next request loads it",
            )
        try:
            address = await place.address()
            backend, facts = await self._describe_backend()
        except BridgeError as error:
            return HealthReport(
                "unavailable",
                model=self._app_state.settings.backend_model,
                device=place.device(),
                reason=error.message,
            )
        return HealthReport(
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

    async def _describe_backend(self) -> tuple[Backend, BackendInfo]:
        """Return the backend and its description; detect its kind again if describing it fails."""
        backend = await self._app_state.backend()
        try:
            return backend, await backend.describe()
        except (ClientError, InvalidBackendResponse, BackendFailed):
            self._app_state.detection.mark_stale()
            if (other := await self._app_state.backend()) is backend:
                raise
        return other, await other.describe()
