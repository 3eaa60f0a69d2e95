"""A client that leaves at any moment leaves nothing behind."""

import asyncio

import httpx
import pytest

from proxy.backends.provider import FixedProvider
from tests.backend import ROLE, stream, text
from tests.completion.recovery import asked, llama
from tests.parsing.cuts import TOOLS


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    "ends_too", [False, True], ids=["the client leaves", "and the server is ended"]
)
async def test_a_client_that_leaves_at_any_moment_leaves_nothing_behind(
    streamed: bool, ends_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the request is cleaned up."""
    left: list[FixedProvider] = []
    monkeypatch.setattr(FixedProvider, "release", lambda place: left.append(place))
    for moment in range(150):
        road = llama(stream(ROLE, *text("So: "), httpx.ReadError("x")))
        call = road.begin(streamed=streamed, tools=TOOLS)
        for _ in range(moment):
            await asyncio.sleep(0)
        call.hang_up()
        if ends_too:
            for _ in range(3):
                await asyncio.sleep(0)
            call.task.cancel()
        await asyncio.wait((call.task,))
        assert road.app.app_state.memory_budget.used == 0
        assert len(left) == len(asked(road))
        left.clear()
