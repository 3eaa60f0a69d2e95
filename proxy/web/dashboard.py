"""Endpoint `/`: status, requests in flight, recent requests, and client setup.

Browsers get an HTML page, which then reads a stream of changes. Other clients get JSON.
"""

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import orjson

from proxy.errors import MethodNotAllowed, Overloaded
from proxy.protocols import sse
from proxy.web import headers
from proxy.web.connection import Connection
from proxy.web.health import Health, HealthReport
from proxy.web.snippets import YOUR_KEY, YOUR_MODEL, curl, opencode
from proxy.web.state import AppState

REFRESH_INTERVAL = 1.0
MAX_WATCHERS = 32
_MAX_AGE, _MAX_AGE_UNHEALTHY = 15.0, 2.0  # seconds; maximum age of the health report
_PAGE = Path(__file__).with_name("dashboard.html").read_bytes()
_NO_STORE = (b"cache-control", b"no-store")


def _policy(page: bytes) -> bytes:
    """Return the Content-Security-Policy for `page`.

    It allows the inline style and script of the page, by their hashes, and connections to this
    server only.
    """
    inside = [
        part
        for kind in (b"style", b"script")
        for part in re.findall(b"<%b>(.*?)</%b>" % (kind, kind), page, re.DOTALL)
    ]
    style, script = (base64.b64encode(hashlib.sha256(part).digest()) for part in inside)
    return (
        b"default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'; "
        b"img-src data:; style-src 'sha256-%b'; script-src 'sha256-%b'" % (style, script)
    )


_PAGE_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _policy(_PAGE)),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    _NO_STORE,
]
_VARY = (b"vary", b"accept")


class Dashboard:
    def __init__(self, app_state: AppState, health: Health) -> None:
        self._app_state = app_state
        self._health = health
        self._watchers = 0

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("method not allowed; use GET", headers={"allow": "GET, HEAD"})
        accepted = headers.first(connection.headers, b"accept") or ""
        # A response to HEAD has no body to stream.
        if "text/event-stream" in accepted and connection.scope["method"] == "GET":
            await self._stream_events(connection)
        elif "text/html" in accepted:
            await connection.respond(200, _PAGE, [*_PAGE_HEADERS, _VARY])
        else:
            now = await self._snapshot(connection, max_age=0.0)
            report = now.pop("report")
            body = orjson.dumps(report | now, option=orjson.OPT_INDENT_2) + b"\n"
            await connection.respond(
                200 if report["status"] == "ok" else 503,
                body,
                [(b"content-type", b"application/json"), _NO_STORE, _VARY],
            )

    async def _stream_events(self, connection: Connection) -> None:
        if self._watchers >= MAX_WATCHERS:
            raise Overloaded(f"{MAX_WATCHERS} dashboards are open already; close one")
        self._watchers += 1
        try:
            await connection.start(
                200,
                [(b"content-type", b"text/event-stream"), _NO_STORE, (b"x-accel-buffering", b"no")],
            )
            await connection.run_until_disconnected(self._push_changes(connection))
        finally:
            self._watchers -= 1

    async def _push_changes(self, connection: Connection) -> None:
        """Send the whole snapshot once, then every second the parts that have changed."""
        pushed: dict[str, Any] = {}
        async with connection.keepalive():
            while True:
                healthy = pushed.get("report", {}).get("status") == "ok"
                now = await self._snapshot(connection, _MAX_AGE if healthy else _MAX_AGE_UNHEALTHY)
                if changes := {
                    name: value for name, value in now.items() if pushed.get(name) != value
                }:
                    await connection.write(sse.event(orjson.dumps(changes)))
                pushed = now
                await asyncio.sleep(REFRESH_INTERVAL)

    async def _snapshot(self, connection: Connection, max_age: float) -> dict[str, Any]:
        report, ledger = await self._health.report(max_age), self._app_state.inflight
        shown = report.as_dict()
        return {
            "report": shown,
            "live": ledger.snapshot(),
            "last": list(ledger.finished),
            "connect": self._client_setup(connection, report),
        }

    def _client_setup(self, connection: Connection, report: HealthReport) -> dict[str, str]:
        """Return configuration snippets for clients, with the address that the request was sent to.

        They contain a placeholder instead of the API key, so that the page never shows the key.
        """
        address = (
            f"{connection.scope.get('scheme', 'http')}://"
            f"{headers.first(connection.headers, b'host')}"
        )
        key = YOUR_KEY if self._app_state.api_keys.keys else None
        model = report.expected_model or YOUR_MODEL
        return {
            "address": f"{address}/v1",
            "curl": curl(address, key, model),
            "opencode": opencode(address, key, model, report.expected_context, report.inputs or ()),
        }
