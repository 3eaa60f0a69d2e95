"""The guard as a process of its own: it ends the engine's group, however the end comes about."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.llama_server.process.server_process import WATCHDOG
from tests.patience import HANGS
from tests.process.conftest import nothing_left

WAITS = "sleep 1000 & echo here >&2; wait"
STUBBORN = "trap '' TERM; echo here >&2; while :; do sleep 1000; done"


class Guard:
    def __init__(self, script: str, grace: float) -> None:
        command, pipe = [*WATCHDOG, str(grace), "/bin/sh", "-c", script], subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.lifeline, self.report, self.log = (
            self.process.stdin,
            self.process.stdout,
            self.process.stderr,
        )

    def told(self) -> list[str]:
        return [line.decode().strip() for line in self.report]


Start = Callable[..., Guard]


@pytest.fixture
def start() -> Iterator[Start]:
    guards: list[Guard] = []

    def make(script: str, grace: float = 5) -> Guard:
        guards.append(Guard(script, grace))
        return guards[-1]

    yield make
    for guard in guards:
        for pipe in (guard.lifeline, guard.report, guard.log):
            pipe.close()
        guard.process.wait(10)


async def test_an_engine_that_ends_is_reported_and_what_it_left_behind_ends_too(
    start: Start,
) -> None:
    guard = start("sleep 1000 & sleep 1000 & exit 3")
    pid, code = guard.told()
    assert pid.startswith("pid ")
    assert code == "exit 3"
    assert guard.process.wait(5) == -signal.SIGKILL
    await nothing_left(guard.process.pid)


async def test_an_engine_that_is_killed_is_reported_with_its_signal(start: Start) -> None:
    assert start("kill -9 $$").told()[1] == "exit -9"


async def test_the_end_of_file_ends_the_group(start: Start) -> None:
    guard = start(WAITS)
    assert guard.log.readline() == b"here\n"
    guard.lifeline.close()
    assert guard.told()[1] == "exit -15"
    await nothing_left(guard.process.pid)


async def test_an_engine_that_ignores_the_request_is_killed_after_the_grace(start: Start) -> None:
    guard = start(STUBBORN, grace=0.3)
    assert guard.log.readline() == b"here\n"
    began = time.monotonic()
    guard.lifeline.close()
    assert guard.told()[1] == "exit -9"
    assert time.monotonic() - began >= 0.3
    await nothing_left(guard.process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_to_the_guard_ends_the_group_in_order(
    start: Start, number: signal.Signals
) -> None:
    guard = start(WAITS)
    assert guard.log.readline() == b"here\n"
    guard.process.send_signal(number)
    assert guard.told()[1] == "exit -15"
    await nothing_left(guard.process.pid)


def test_the_engine_gets_an_empty_input_and_its_output_is_its_log(start: Start) -> None:
    guard = start("cat; echo read to the end")
    assert guard.log.read() == b"read to the end\n"


def test_a_failed_start_is_reported(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    told = subprocess.run(
        [*WATCHDOG, "1", str(nothing)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        timeout=HANGS,
        check=False,
    )
    assert told.stdout.decode() == f"cannot No such file or directory: {nothing}\n"
