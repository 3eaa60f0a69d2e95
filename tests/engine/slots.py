"""Is the server at work?

It is asked through the proxy, and not too often: a question delays what it does by itself.
"""

import asyncio
import time

from proxy.app import Bridge
from tests.asgi import ask


async def busy(bridge: Bridge) -> int:
    return sum(slot["is_processing"] for slot in (await ask(bridge, "/upstream/slots")).json)


async def idle(bridge: Bridge, within: float = 5) -> None:
    began = time.monotonic()
    while await busy(bridge):
        assert time.monotonic() - began < within
        await asyncio.sleep(0.1)


async def at_work(bridge: Bridge, within: float = 10) -> None:
    began = time.monotonic()
    while not await busy(bridge):
        assert time.monotonic() - began < within
        await asyncio.sleep(0.05)
