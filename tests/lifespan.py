"""ASGI lifespan as a server runs it, and an application with two managed models."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from proxy import create_app
from proxy.app import Bridge
from proxy.llama_server import ModelPool
from proxy.settings import load
from proxy.tiny_model import MODEL as TINY
from tests.process.fake_server import Conduct


class Lifespan:
    """Server side of the lifespan protocol: starts the app on entry, shuts it down on exit."""

    def __init__(self, app: Bridge) -> None:
        self.sent: list[str] = []
        self.opened, self._close = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(
            app({"type": "lifespan", "asgi": {"version": "3.0"}}, self._receive, self._send)
        )

    async def _receive(self) -> MutableMapping[str, Any]:
        if self.sent:
            await self._close.wait()
            return {"type": "lifespan.shutdown"}
        return {"type": "lifespan.startup"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message["type"])
        self.opened.set()

    async def __aenter__(self) -> "Lifespan":
        await self.opened.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close.set()
        await self.task


def pair(tmp_path: Path, text: str = "", **conduct: Any) -> Bridge:
    """Return an application with two models on fake servers, one of which is loaded at a time."""
    engine = Conduct(**conduct).script(tmp_path / "llama-server")
    conf = tmp_path / "my.conf"
    sections = "".join(
        f"[{name}]\nmodel = {TINY}\naliases = {name}-too\n" for name in ("one", "two")
    )
    conf.write_text(f"[*]\nctx-size = 4096\n{text}\n{sections}")
    return create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_SERVER_CONF": str(conf)}))


def keeper(app: Bridge) -> ModelPool:
    assert app.pool
    return app.pool
