"""Timeouts of tests, the same on every machine."""

import time
from collections.abc import Callable

import anyio

HANGS = 300.0
"""Seconds after which a hanging test fails; much more than any test needs."""

PROMPT = 15.0
"""Seconds that an immediate action may take on a busy machine."""


async def until(true: Callable[[], object], within: float = HANGS) -> None:
    """Wait until `true()` is true; fail after `within` seconds."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within
        await anyio.sleep(0.005)
