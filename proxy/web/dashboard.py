"""`/`: what runs here, who is answered and how to connect.

One page for a browser, the same as JSON for everybody else, and as a stream of what has changed for
the page that stays open."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import orjson

from proxy.errors import Busy, NotAllowed
from proxy.protocols import sse
from proxy.web import headers
from proxy.web.connection import Connection
from proxy.web.health import Report, Status
from proxy.web.snippets import YOUR_KEY, YOUR_MODEL, curl, opencode
from proxy.web.state import House

LOOKS_EVERY = 1.0
WATCHERS = 32
_KEPT, _KEPT_IN_TROUBLE = 15.0, 2.0  # how old what the backend told of itself may be
_PAGE = Path(__file__).with_name("dashboard.html").read_bytes()
_NOT_KEPT = (b"cache-control", b"no-store")


def _policy(page: bytes) -> bytes:
    """Nothing but what stands in the page itself is run, and nobody is asked but us."""
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
    _NOT_KEPT,
]
_VARY = (b"vary", b"accept")


class Front:
    def __init__(self, house: House, status: Status) -> None:
        self._house = house
        self._status = status
        self._watchers = 0

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] not in ("GET", "HEAD"):
            raise NotAllowed(
                "this page is only looked at, with GET", headers={"allow": "GET, HEAD"}
            )
        accepted = headers.first(connection.headers, b"accept") or ""
        # HEAD has no body that could go on.
        if "text/event-stream" in accepted and connection.scope["method"] == "GET":
            await self._watched(connection)
        elif "text/html" in accepted:
            await connection.answer(200, _PAGE, [*_PAGE_HEADERS, _VARY])
        else:
            now = await self._now(connection, kept=0.0)
            report = now.pop("report")
            body = orjson.dumps(report | now, option=orjson.OPT_INDENT_2) + b"\n"
            await connection.answer(
                200 if report["status"] == "ok" else 503,
                body,
                [(b"content-type", b"application/json"), _NOT_KEPT, _VARY],
            )

    async def _watched(self, connection: Connection) -> None:
        if self._watchers >= WATCHERS:
            raise Busy(f"{WATCHERS} pages are open already")
        self._watchers += 1
        try:
            await connection.start(
                200,
                [(b"content-type", b"text/event-stream"), _NOT_KEPT, (b"x-accel-buffering", b"no")],
            )
            await connection.unless_gone(self._tell(connection))
        finally:
            self._watchers -= 1

    async def _tell(self, connection: Connection) -> None:
        """All of it once, then what is not what it was."""
        told: dict[str, Any] = {}
        async with connection.kept_alive():
            while True:
                healthy = told.get("report", {}).get("status") == "ok"
                now = await self._now(connection, _KEPT if healthy else _KEPT_IN_TROUBLE)
                if news := {name: value for name, value in now.items() if told.get(name) != value}:
                    await connection.write(sse.event(orjson.dumps(news)))
                told = now
                await asyncio.sleep(LOOKS_EVERY)

    async def _now(self, connection: Connection, kept: float) -> dict[str, Any]:
        report, ledger = await self._status.now(kept), self._house.ledger
        shown = report.told()
        return {
            "report": shown,
            "live": ledger.live(),
            "last": list(ledger.last),
            "connect": self._connect(connection, report),
        }

    def _connect(self, connection: Connection, report: Report) -> dict[str, str]:
        """Under the name that this browser has for us.

        The key is never shown: who reads this has it.
        """
        address = (
            f"{connection.scope.get('scheme', 'http')}://"
            f"{headers.first(connection.headers, b'host')}"
        )
        key = YOUR_KEY if self._house.keys.known else None
        model = report.expected or YOUR_MODEL
        return {
            "address": f"{address}/v1",
            "curl": curl(address, key, model),
            "opencode": opencode(address, key, model, report.expected_context, report.inputs or ()),
        }
