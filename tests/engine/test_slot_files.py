"""What llama.cpp saves of a conversation to disk and takes back."""

import logging
import os
import signal
from pathlib import Path

import httpx
import pytest

from proxy.llama_server import Supervisor
from tests.llama_server.test_slot_cache import HELPED, IN_VAIN, OFF, launch, modes, names
from tests.process.conftest import FAST


async def asked(it: Supervisor, words: str = "hello ") -> int:
    """A question that is answered; how many of its tokens were cached."""
    address = await it.ensure_ready()
    question = {"messages": [{"role": "user", "content": words * 300}], "max_tokens": 5}
    async with httpx.AsyncClient(
        base_url=address.url, headers={"authorization": f"Bearer {address.key}"}, trust_env=False
    ) as client:
        usage = (await client.post("/v1/chat/completions", json=question, timeout=60)).json()[
            "usage"
        ]
    cached: int = usage["prompt_tokens_details"]["cached_tokens"]
    it.record_answer(usage["prompt_tokens"], cached)
    return cached


async def test_a_conversation_survives_its_child(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "deep/slots"
    it = Supervisor(launch(folder), on_line=print, timeouts=FAST)
    assert await asked(it) == 0
    await it.stop()
    (file,) = names(folder)
    assert modes(folder / file, folder) == [0o600, 0o700]
    assert await asked(it) > 800
    assert HELPED in caplog.text
    assert it.pid
    os.kill(it.pid, signal.SIGKILL)  # no time to save anything
    await it.wait_exit_noticed(it.address.url)
    await it.ensure_ready()
    assert names(folder) == [file]
    assert await asked(it) > 800
    await it.stop()
    assert names(folder) == [file]
    # Other flags: not its memory.
    other = Supervisor(launch(folder, "--min-p", "0.1"), timeouts=FAST)
    assert await asked(other) == 0
    await other.stop()
    assert len(names(folder)) == 2
    assert IN_VAIN not in caplog.text


async def test_what_did_not_help_is_dropped_and_after_the_second_time_nothing_is_saved_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard: list[str] = []
    it = Supervisor(launch(tmp_path), on_line=heard.append, timeouts=FAST)
    for number, words in enumerate(("hello ", "olleh ", "lehol ")):
        assert await asked(it, words) < 20
        assert names(tmp_path) == []
        assert caplog.text.count(IN_VAIN) == "\n".join(heard).count(IN_VAIN) == number
        await it.stop()
        assert len(names(tmp_path)) == (number < 2)
    assert [record.levelname for record in caplog.records if OFF in record.message] == ["WARNING"]
    await it.ensure_ready()
    await it.stop()
    assert names(tmp_path) == []
