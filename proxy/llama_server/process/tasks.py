"""Helper that cancels asyncio tasks."""

import asyncio
from typing import Any


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
