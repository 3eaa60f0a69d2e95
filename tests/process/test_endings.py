"""However it ends, nothing of it is left: the process list is asked after each ending."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.llama_server import ProcessState, Timeouts
from tests.patience import PROMPT, until
from tests.process.conftest import TINY, Fake, alive, nothing_left
from tests.process.fake_server import ROOT, Conduct, starts

DEAF = "trap '' TERM"
PARENT = """
import asyncio, json, signal, sys
from pathlib import Path
from proxy.llama_server import LaunchSpec, Supervisor, Timeouts

async def main(model, engine):
    launch = LaunchSpec(Path(model), "stand-in", Path(engine) if engine else None, \
("--ctx-size", "32768"))
    async with Supervisor(launch, timeouts=Timeouts(grace=0.5)) as supervisor:
        await supervisor.ensure_ready()
        print(json.dumps([supervisor.process_group, supervisor.pid]), flush=True)
        await asyncio.sleep(600)

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests in the \
background had it ignored
asyncio.run(main(*sys.argv[1:]))
"""


class Parent:
    """Stands in for the proxy: a process that holds a Supervisor, and is killed."""

    def __init__(self, model: Path, engine: Path | None) -> None:
        command = [sys.executable, "-c", PARENT, str(model), str(engine or "")]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )
        assert self.process.stdout
        self.group, self.pid = json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def fake_engine(tmp_path: Path) -> Iterator[Any]:
    parents: list[Parent] = []

    def make(prelude: str | None = "") -> Parent:
        engine = None if prelude is None else Conduct().script(tmp_path / "llama-server", prelude)
        parents.append(Parent(TINY, engine))
        return parents[-1]

    yield make
    for parent in parents:
        parent.close()


@pytest.mark.parametrize(
    "prelude", [None, "", DEAF, "sleep 1000 & sleep 1000 &", f"{DEAF}; sleep 1000 &"]
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_when_we_are_killed_the_group_ends(
    fake_engine: Any, prelude: str | None, number: signal.Signals
) -> None:
    parent = fake_engine(prelude)
    assert alive(parent.group)
    parent.process.send_signal(number)
    await nothing_left(parent.group)


async def test_an_interrupt_at_the_keyboard_reaches_us_alone(fake_engine: Any) -> None:
    parent = fake_engine("")
    assert os.getpgid(parent.pid) == parent.group != os.getpgid(parent.process.pid)
    # What a terminal does; the proxy then closes its child in order.
    os.killpg(os.getpgid(parent.process.pid), signal.SIGINT)
    await nothing_left(parent.group)


@pytest.mark.parametrize(
    ("prelude", "least"),
    [("", 0), ("sleep 1000 &", 0), (DEAF, 0.4), (f"{DEAF}; sleep 1000 &", 0.4)],
)
async def test_stopping_is_bounded_and_leaves_nothing(
    fake: Fake, prelude: str, least: float
) -> None:
    async with fake(prelude, timings=Timeouts(grace=0.4)) as supervisor:
        await supervisor.ensure_ready()
        assert alive(supervisor.process_group)
        began = time.monotonic()
    assert least <= time.monotonic() - began < least + PROMPT
    assert supervisor.state is ProcessState.STOPPED
    await nothing_left(supervisor.process_group)


async def test_a_killed_guard_takes_the_group_with_it(fake: Fake) -> None:
    async with fake("sleep 1000 &") as supervisor:
        await supervisor.ensure_ready()
        supervisor.record_answer()
        group = supervisor.process_group
        assert group
        os.kill(group, signal.SIGKILL)
        await nothing_left(group)
        await until(lambda: supervisor.process_group != group)
        await supervisor.ensure_ready()


async def test_a_guard_that_stands_still_is_done_without(fake: Fake) -> None:
    async with fake(timings=Timeouts(grace=0.1, kill=0.2)) as supervisor:
        await supervisor.ensure_ready()
        assert supervisor.process_group
        os.kill(supervisor.process_group, signal.SIGSTOP)
    assert supervisor.state is ProcessState.STOPPED
    await nothing_left(supervisor.process_group)


@pytest.mark.parametrize("prelude", ["", DEAF])
async def test_a_process_that_leaves_the_group_is_reported_and_blocks_nothing(
    fake: Fake, tmp_path: Path, prelude: str
) -> None:
    escaped = tmp_path / "escaped"
    code = (
        f"import os, time; os.setsid(); open('{escaped}', 'w').write(str(os.getpid())); "
        f"time.sleep(1000)"
    )
    timings = Timeouts(grace=0.2, kill=0.2)
    async with fake(
        f'{prelude}\n{sys.executable} -I -S -c "{code}" &', timings=timings
    ) as supervisor:
        await supervisor.ensure_ready()
        await until(lambda: escaped.exists() and escaped.read_text())
    assert supervisor.state is ProcessState.STOPPED
    assert "is still running" in supervisor.log.tail[-1]
    os.kill(int(escaped.read_text()), signal.SIGKILL)
    await nothing_left(int(escaped.read_text()))


async def test_a_child_that_forks_and_dies_takes_its_children_along(fake: Fake) -> None:
    async with fake("sleep 1000 &", exits=1, misbehaves=1) as supervisor:
        await until(lambda: supervisor.process_group)
        first = supervisor.process_group
        await supervisor.ensure_ready()
        assert supervisor.process_group != first
        assert alive(first) == []


async def test_quick_stops_leave_nothing(fake: Fake) -> None:
    supervisor = fake()
    groups: set[int | None] = set()
    for turn in range(12):
        await supervisor.start()
        for _ in range(turn * 3):  # stop at ever later moments of the start
            await asyncio.sleep(0)
        groups.add(supervisor.process_group)
        await supervisor.stop()
        assert supervisor.state is ProcessState.STOPPED
    for group in groups - {None}:
        await nothing_left(group)
    assert supervisor.launch.engine
    assert len(starts(supervisor.launch.engine)) <= 12
