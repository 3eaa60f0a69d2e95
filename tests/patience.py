"""How long tests wait, on any machine."""

import time
from collections.abc import Callable

import anyio

HANGS = 300.0
"""Seconds after which a test that hangs fails. No machine is so slow that a test needs them."""

PROMPT = 15.0
"""Seconds that something immediate may take on a busy machine; what it must not wait for takes
longer.
"""


async def until(true: Callable[[], object], within: float = HANGS) -> None:
    """Return as soon as `true()` is."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within
        await anyio.sleep(0.005)
