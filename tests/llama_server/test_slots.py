"""What a child remembers goes with it to disk and comes back: with the real engine, and with servers that do not play along."""

import os
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.llama_server import Launch, Supervisor, slots
from proxy.llama_server.readiness import Address
from proxy.llama_server.slots import Slots

from .conftest import FAST, TINY

AT = Address("http://127.0.0.1:1", "k")


def launch(folder: Path, *flags: str) -> Launch:
    return Launch(TINY, "tiny", flags=("--ctx-size", "16384", "--temp", "0", "--threads", "1", "--slot-save-path", str(folder), *flags))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


async def asked(address: Address) -> Any:
    question = {"messages": [{"role": "user", "content": "hello " * 300}], "max_tokens": 5}
    async with httpx.AsyncClient(base_url=address.url, headers={"authorization": f"Bearer {address.key}"}, trust_env=False) as client:
        answer = await client.post("/v1/chat/completions", json=question, timeout=60)
        return answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]


async def test_a_conversation_survives_its_child(tmp_path: Path) -> None:
    folder = tmp_path / "deep/slots"
    it = Supervisor(launch(folder), on_line=print, timings=FAST)
    assert await asked(await it.ensure_ready()) == 0
    await it.stop()
    (file,) = names(folder)
    assert modes(folder / file, folder) == [0o600, 0o700]
    assert await asked(await it.ensure_ready()) > 800
    assert names(folder) == []
    await it.stop()
    other = Supervisor(launch(folder, "--min-p", "0.1"), timings=FAST)  # other flags: not its memory
    assert await asked(await other.ensure_ready()) == 0
    await other.stop()
    assert len(names(folder)) == 2


def server(answers: Any, saves: Path | None = None) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/slots":
            return httpx.Response(200, json=answers)
        if saves and request.url.params["action"] == "save":
            name = request.content.decode().split('"')[3]
            (saves / name).write_bytes(b"x" * 100)
            return httpx.Response(200, json={"n_saved": 900})
        return httpx.Response(200, json=[]) if saves else httpx.Response(501)

    return httpx.MockTransport(handle)


BUSY = [{"id": 0, "n_prompt_tokens": 900}, {"id": 1, "n_prompt_tokens": 20}, {"id": 2}, {"id": "x", "n_prompt_tokens": 900}, 5]


@pytest.mark.parametrize(("listed", "saved"), [(BUSY, 900), ({}, 0), ([], 0)])
async def test_what_is_worth_it_is_saved(tmp_path: Path, listed: Any, saved: int) -> None:
    it = Slots(launch(tmp_path), 5, server(listed, tmp_path))
    assert await it.save(AT) == saved
    assert len(names(tmp_path)) == bool(saved)
    assert await it.restore(AT) == 0  # it answers nonsense: the file is of no use
    assert names(tmp_path) == []


async def test_a_server_that_cannot_or_does_not_answer_costs_nothing_but_time(tmp_path: Path) -> None:
    it = Slots(launch(tmp_path), 5, server(BUSY))
    assert await it.save(AT) == 0
    silent = Slots(launch(tmp_path), 0.05, httpx.MockTransport(_silent))
    assert await silent.save(AT) == 0
    (tmp_path / f"{silent._mark}-0.slot").touch()
    assert await silent.restore(AT) == 0
    nothing = Slots(Launch("owner/repo", "m"), 5)
    nothing.prepare()
    assert await nothing.save(AT) == await nothing.restore(AT) == 0


def _silent(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("it says nothing")


async def test_the_room_on_disk_is_bounded_and_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "LIMIT", 250)
    for number in range(4):
        file = tmp_path / f"{number}.slot"
        file.write_bytes(b"x" * 100)
        os.utime(file, (number, number))
    (tmp_path / "other.txt").write_bytes(b"x" * 1000)
    Slots(launch(tmp_path), 5).prepare()
    assert names(tmp_path) == ["2.slot", "3.slot", "other.txt"]
