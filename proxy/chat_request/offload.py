"""Work that grows with the size of a request, done in a thread where the request is large."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

# Bytes; reading or writing more takes so long that other requests should be served meanwhile.
LARGE = 128 * 1024
P = ParamSpec("P")
T = TypeVar("T")


async def offload(size: int, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Return what `work` returns.

    The event loop goes on meanwhile if `size`, of the request in bytes, is large.
    """
    return (
        await asyncio.to_thread(work, *arguments, **options)
        if size > LARGE
        else work(*arguments, **options)
    )
