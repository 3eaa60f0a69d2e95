"""The first process of a container, played by one to which the orphans of its children are
given.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.cli import pid1
from tests.patience import HANGS
from tests.process.fake_server import ROOT

# PR_SET_CHILD_SUBREAPER: whoever loses its parent below us becomes our child, as it would be
# process 1's.
FIRST = """
import ctypes, os, signal, sys, time
from proxy.cli import pid1
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
exec(sys.argv[2])
pid1.fork_child()
exec(sys.argv[1])
"""

# The first process goes on long after the second has begun.
SLOW_FORK = """
fork = os.fork
def slow():
    second = fork()
    if second:
        time.sleep(0.5)
    return second
os.fork = slow
"""


@contextmanager
def container(code: str, before: str = "") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FIRST, code, before], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout
        process.stdout.close()


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_it_ends_as_the_second_one_ends(code: str, exit_code: int) -> None:
    with container(code) as process:
        assert process.wait(20) == exit_code


@pytest.mark.parametrize("before", ["", SLOW_FORK], ids=["at once", "after a slow fork"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(number: signal.Signals, before: str) -> None:
    code = (
        f"signal.signal({int(number)}, lambda *_: os._exit(42)); print('ready', flush=True); "
        f"time.sleep(60)"
    )
    with container(code, before) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(20) == 42


ORPHAN = """
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.05)
        os._exit(3)
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_orphans_are_buried() -> None:
    with container(ORPHAN) as process:
        assert process.stdout
        second = int(process.stdout.readline())
        end = time.monotonic() + HANGS

        def dead() -> list[str]:
            shown = subprocess.run(
                ["ps", "-A", "-o", "ppid=,stat="], capture_output=True, text=True, check=True
            ).stdout
            rows = [row.split() for row in shown.splitlines()]
            return [stat for parent, stat in rows if int(parent) == process.pid]

        while len(dead()) > 1:  # the second process alone is left
            assert time.monotonic() < end
        os.kill(second, signal.SIGTERM)
        assert process.wait(20) == 143


def test_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same once more where the lines are counted: the first process leaves by `_exit`, past
    everything that counts.
    """
    monkeypatch.setattr(os, "fork", lambda: 0)
    pid1.fork_child()
    told: list[int] = []
    monkeypatch.setattr(os, "fork", lambda: 5)
    monkeypatch.setattr(os, "_exit", told.append)
    monkeypatch.setattr(pid1, "reap_until_exit", lambda second: second + 1)
    try:
        pid1.fork_child()
    finally:
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, pid1.FORWARDED_SIGNALS
        )  # as the real `tend` does
    assert told == [6]


def test_tending_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in pid1.FORWARDED_SIGNALS}
    try:
        child = subprocess.Popen(["sleep", "60"])
        real, orphans = os.wait, [999_999]

        def wait() -> tuple[int, int]:
            if orphans:
                return orphans.pop(), 0
            os.kill(os.getpid(), signal.SIGTERM)  # passed on to the sleeper
            return real()

        monkeypatch.setattr(os, "wait", wait)
        assert pid1.reap_until_exit(child.pid) == 143
        child.returncode = 0  # buried already
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
