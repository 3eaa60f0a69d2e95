"""Fixtures: the proxy on a real socket, in front of a scripted backend with three paths."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.backend import END, Backend, models, stream, text
from tests.bridge import bridge
from tests.web.raw_http import CHAT, Connect, served


@pytest.fixture
def script() -> Backend:
    return Backend(
        {
            "/v1/models": models("m"),
            CHAT: lambda _: stream(*text("hi"), *END),
            "/props": lambda _: httpx.Response(200, text="p"),
        }
    )


@pytest.fixture
async def connect(script: Backend) -> AsyncIterator[Connect]:
    async with served(bridge(script)) as connect:
        yield connect
