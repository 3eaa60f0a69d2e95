"""The whole proxy in this process, opened as a server opens it, its child a real llama.cpp."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from proxy.app import Bridge, create_app
from proxy.llama_server import ProcessAddress, Supervisor
from proxy.settings import Settings, load

Message = MutableMapping[str, Any]


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Bridge]:
    bridge = create_app(settings)
    told: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    life = asyncio.create_task(
        bridge({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, told.get, heard.put)
    )
    await told.put({"type": "lifespan.startup"})
    assert await heard.get() == {"type": "lifespan.startup.complete"}
    try:
        yield bridge
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert await heard.get() == {"type": "lifespan.shutdown.complete"}
        await life


def before(at: ProcessAddress, **options: str) -> Settings:
    """For another proxy, that stands before the same server."""
    return load(
        {"BACKEND_URL": at.url, "BACKEND_API_KEY": at.key}
        | {name.upper(): value for name, value in options.items()}
    )


def child(bridge: Bridge) -> Supervisor:
    assert bridge.supervisor is not None
    return bridge.supervisor


async def place(bridge: Bridge) -> ProcessAddress:
    return await child(bridge).ensure_ready()
