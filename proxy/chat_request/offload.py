"""Runs work in a thread if the request is large."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

# Bytes; parsing or writing more takes so long that other requests should be served meanwhile.
LARGE = 128 * 1024
P = ParamSpec("P")
T = TypeVar("T")


async def offload(size: int, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Return the result of `work`, run in a thread if `size` (bytes of the request) is large."""
    return (
        await asyncio.to_thread(work, *arguments, **options)
        if size > LARGE
        else work(*arguments, **options)
    )
