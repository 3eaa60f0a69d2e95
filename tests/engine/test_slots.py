"""Swapped away and back: the conversation has not to be read again, and what did not help is not
kept.
"""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.app import Bridge
from proxy.llama_server.slot_cache import MIN_TOKENS
from proxy.settings import load
from proxy.tiny_model import MODEL
from tests.asgi import ask
from tests.engine.bridges import opened


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Bridge]:
    conf = tmp_path / "llama-server.conf"
    every = (
        f"side-requests = swap\nctx-size = 16384\nparallel = 1\ntemp = 0\nthreads = 1\n"
        f"slot-save-path = {tmp_path / 'slots'}\n"
    )
    conf.write_text(
        f"[*]\n{every}" + "".join(f"[{name}]\nmodel = {MODEL}\n" for name in ("one", "two"))
    )
    async with opened(load({"LLAMA_SERVER_CONF": str(conf)})) as bridge:
        yield bridge


async def known(bridge: Bridge, model: str, words: str, *, stream: bool) -> int:
    """How many tokens of such a question the server knew from before."""
    body = {"model": model, "messages": [{"role": "user", "content": words * 400}], "max_tokens": 4}
    call = await ask(
        bridge,
        body=body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    )
    usage = call.data[-2]["usage"] if stream else call.json["usage"]
    assert usage["prompt_tokens"] > MIN_TOKENS
    cached: int = usage["prompt_tokens_details"]["cached_tokens"]
    return cached


@pytest.mark.parametrize("stream", [True, False])
async def test_swapped_away_and_back(
    pair: Bridge, tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level(logging.INFO)

    def kept() -> int:
        return len(list((tmp_path / "slots").iterdir()))

    assert await known(pair, "one", "hello ", stream=stream) == 0
    assert await known(pair, "two", "olleh ", stream=stream) == 0
    assert kept() == 1
    assert await known(pair, "one", "hello ", stream=stream) > 1000
    assert "one: restored conversations helped" in caplog.text
    assert kept() == 2
    assert await known(pair, "two", "lehol ", stream=stream) < 20  # another conversation
    assert "two: restored conversations did not help and are deleted" in caplog.text
    assert kept() == 1
    assert await known(pair, "one", "hello ", stream=stream) > 1000
