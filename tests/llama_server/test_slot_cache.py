"""What a child remembers goes with it to disk and comes back: with the real engine, and with
servers that do not play along.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.llama_server import LaunchSpec, slot_cache
from proxy.llama_server.launch import ProcessAddress
from proxy.llama_server.slot_cache import SlotCache
from tests.process.conftest import TINY

AT = ProcessAddress("http://127.0.0.1:1", "k")
HELPED, IN_VAIN, OFF = "helped: ", "conversations did not help", "slot saving disabled"


def launch(folder: Path, *flags: str) -> LaunchSpec:
    return LaunchSpec(
        TINY,
        "tiny",
        flags=(
            "--ctx-size",
            "16384",
            "--temp",
            "0",
            "--threads",
            "1",
            "--slot-save-path",
            str(folder),
            *flags,
        ),
    )


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


class Told:
    """A SlotCache, and what it says."""

    def __init__(self, folder: Path, handle: Any, patience: float = 5) -> None:
        self.words: list[str] = []
        self.it = SlotCache(
            launch(folder),
            patience,
            lambda _, words: self.words.append(words),
            httpx.MockTransport(handle),
        )
        self.file = folder / f"{self.it._fingerprint}-0.slot"

    async def given_back(self) -> None:
        self.file.write_bytes(b"x")
        await self.it.restore(AT)


def takes(request: httpx.Request) -> httpx.Response:
    assert json.loads(request.content)["filename"].endswith(".slot")
    return httpx.Response(200, json={"n_restored": 900})


@pytest.mark.parametrize(
    ("answers", "kept", "said"),
    [
        ([(0, 0), (511, 0)], True, ""),  # nothing was told, or too little to tell by
        ([(512, 256)], True, "helped: 256 of 512 tokens were cached"),
        ([(512, 255)], False, "did not help and are deleted: 255 of 512 tokens were cached"),
        ([(9000, 512)], True, "helped: 512 of 9,000"),
        ([(9000, 511)], False, "did not help"),
        ([(9000, 8000), (9000, 0)], True, "helped"),  # the first one tells
    ],
)
async def test_the_first_long_answer_decides_whether_it_helped(
    tmp_path: Path, answers: list[tuple[int, int]], kept: bool, said: str
) -> None:
    told = Told(tmp_path, takes)
    told.it.record_hit_rate(9000, 0)  # nothing was given back yet
    await told.given_back()
    assert told.words.pop() == "restored 900 tokens of conversations"
    for prompt, cached in answers:
        told.it.record_hit_rate(prompt, cached)
    assert told.file.exists() is kept
    assert len(told.words) == bool(said)
    assert said in "".join(told.words)


async def test_a_success_resets_earlier_failures(tmp_path: Path) -> None:
    told = Told(tmp_path, takes)
    for cached in (0, 9000, 0, 9000, 0):
        await told.given_back()
        told.it.record_hit_rate(9000, cached)
    assert OFF not in "".join(told.words)
    await told.given_back()
    told.it.record_hit_rate(9000, 0)
    assert OFF in told.words[-1]


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, json=[]), httpx.Response(400), httpx.Response(200, text="rubbish")],
)
async def test_what_is_not_taken_back_goes_at_once(tmp_path: Path, answer: httpx.Response) -> None:
    told = Told(tmp_path, lambda _: answer)
    for _ in range(2):
        await told.given_back()
        assert not told.file.exists()
        told.it.record_hit_rate(9000, 0)
    assert [OFF in words for words in told.words] == [False, False, True]


async def test_where_one_of_two_is_taken_back_it_is_tried(tmp_path: Path) -> None:
    told = Told(
        tmp_path,
        lambda request: takes(request) if "/0" in request.url.path else httpx.Response(400),
    )
    (other := told.file.with_name(told.file.name.replace("-0", "-1"))).write_bytes(b"x")
    await told.given_back()
    assert (told.file.exists(), other.exists()) == (True, False)
    told.it.record_hit_rate(9000, 9000)
    assert HELPED in told.words[-1]


def server(answers: Any, saves: Path | None = None) -> Any:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/slots":
            return httpx.Response(200, json=answers)
        if saves:
            (saves / json.loads(request.content)["filename"]).write_bytes(b"x" * 100)
        return httpx.Response(200, json={"n_saved": 900}) if saves else httpx.Response(501)

    return handle


BUSY = [
    {"id": 0, "n_prompt_tokens": 900},
    {"id": 1, "n_prompt_tokens": 20},
    {"id": 2},
    {"id": "x", "n_prompt_tokens": 900},
    5,
]


@pytest.mark.parametrize(("listed", "saved"), [(BUSY, True), ({}, False), ([], False)])
async def test_what_is_worth_it_is_saved(tmp_path: Path, listed: Any, saved: bool) -> None:
    told = Told(tmp_path, server(listed, tmp_path))
    await told.it.save(AT)
    assert names(tmp_path) == [told.file.name] * saved
    assert told.words == ["saved 900 tokens of conversations"] * saved


def _silent(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("it says nothing")


async def test_a_server_that_cannot_or_does_not_answer_costs_nothing_but_time(
    tmp_path: Path,
) -> None:
    cannot = Told(tmp_path, server(BUSY))
    for _ in range(3):
        await cannot.it.save(AT)
    could_not, again, off = cannot.words  # and then it is not tried any more
    assert could_not == again == "conversations could not be saved"
    assert OFF in off
    silent = Told(tmp_path, _silent, patience=0.05)
    await silent.it.save(AT)
    await silent.given_back()
    assert not silent.file.exists()
    assert silent.words == [
        "conversations could not be saved (ReadTimeout)",
        "saved conversations were rejected",
        silent.words[-1],
    ]
    assert OFF in silent.words[-1]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"slot-save-path: .*Not a directory"):
        SlotCache(launch(tmp_path / "file/deeper"), 5, lambda *_: None).prepare()
    nothing = SlotCache(LaunchSpec("owner/repo", "m"), 5, lambda *_: None)
    assert not nothing.enabled  # so it is never prepared
    await nothing.save(AT)
    await nothing.restore(AT)


async def test_what_was_cut_off_while_it_was_written_takes_no_place(tmp_path: Path) -> None:
    def dies(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/slots":
            return httpx.Response(200, json=BUSY)
        (tmp_path / json.loads(request.content)["filename"]).write_bytes(b"half")
        raise httpx.ReadError("it is gone")

    told = Told(tmp_path, dies)
    told.file.write_bytes(b"whole")
    await told.it.save(AT)
    assert told.file.read_bytes() == b"whole"
    assert len(names(tmp_path)) == 2
    told.it.prepare()
    assert names(tmp_path) == [told.file.name]


async def test_the_room_on_disk_is_bounded_and_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_cache, "SIZE_LIMIT", 250)
    for number in range(4):
        file = tmp_path / f"{number}.slot"
        file.write_bytes(b"x" * 100)
        os.utime(file, (number, number))
    (tmp_path / "other.txt").write_bytes(b"x" * 1000)
    # Between the look at the folder and the look at the file.
    (tmp_path / "gone.slot").symlink_to(tmp_path / "nowhere")
    Told(tmp_path, takes).it.prepare()
    assert names(tmp_path) == ["2.slot", "3.slot", "gone.slot", "other.txt"]
