"""The same guard inside this process, where its last deed (killing its own group) is only noted:
so every line is seen.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from proxy.llama_server.process import watchdog
from tests.patience import HANGS


class Inside:
    """Pipes in the place of the standard ones, and a group that is the engine alone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        lifeline, self.lifeline = os.pipe()
        self.report, report = os.pipe()
        self.null = os.open(os.devnull, os.O_WRONLY)
        self.open = {lifeline, self.lifeline, self.report, report, self.null}
        self.group: list[int] = []
        for name, value in (("LIFELINE", lifeline), ("REPORT", report), ("LOG", self.null)):
            patch.setattr(watchdog, name, value)
        patch.setattr(os, "killpg", self.kill)

    def kill(self, _: int, number: int) -> None:
        self.group.append(number)
        self.told = getattr(self, "told", "") or os.read(self.report, 512).decode()
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def pid(self) -> int:
        return int(self.told.split()[1])

    def close(self, end: int) -> None:
        self.open.remove(end)
        os.close(end)

    def last_words(self) -> str:
        return os.read(self.report, 512).decode().splitlines()[-1]


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGCHLD, *watchdog.ENDING)}
    wakeup = signal.set_wakeup_fd(-1)
    it = Inside(monkeypatch)
    yield it
    signal.set_wakeup_fd(wakeup)
    for number, handler in kept.items():
        signal.signal(number, handler)
    for end in tuple(it.open):
        it.close(end)


def engine(code: str) -> Sequence[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_an_engine_that_ends(inside: Inside) -> None:
    watchdog.main(["5", *engine("raise SystemExit(3)")])
    assert inside.told.splitlines()[1:] == ["exit 3"]
    assert inside.group == [signal.SIGKILL]


def test_the_end_of_file(inside: Inside) -> None:
    inside.close(inside.lifeline)
    watchdog.main(["5", *engine("import signal; signal.pause()")])
    assert inside.group == [signal.SIGTERM, signal.SIGKILL]
    assert inside.last_words() == "exit -15"


def test_an_engine_that_ignores_the_request(inside: Inside) -> None:
    # It asks to be ended by itself once it is deaf: the guard is its parent.
    deaf = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getppid(), "
        "signal.SIGHUP)\nwhile True: signal.pause()"
    )
    watchdog.main(["0.2", *engine(deaf)])
    assert inside.group == [signal.SIGTERM, signal.SIGKILL]
    assert inside.last_words() == "exit -9"
    assert os.waitpid(inside.pid, 0)[1] == signal.SIGKILL


def test_a_signal_that_is_none_of_its_business_changes_nothing(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    exit_code = watchdog._exit_code
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        assert cat.stdin

        def look(child: int) -> int | None:
            seen = exit_code(child)
            assert cat.stdin
            cat.stdin.close()  # not before the first look
            return seen

        monkeypatch.setattr(watchdog, "_exit_code", look)
        bell = watchdog._signal_pipe()
        inside.open.add(bell)
        signal.raise_signal(signal.SIGCHLD)
        assert watchdog._watch(cat.pid, bell) == 0
        cat.returncode = 0


def test_what_cannot_be_started(inside: Inside) -> None:
    watchdog.main(["5", "/no/such/engine"])
    assert inside.last_words() == "cannot No such file or directory: /no/such/engine"
    assert inside.group == []


def test_a_client_that_is_gone(inside: Inside) -> None:
    inside.close(inside.report)
    watchdog._report("exit 0")


def test_it_is_a_program_of_its_own() -> None:
    ended = subprocess.run(
        [sys.executable, "-P", watchdog.__file__, "5", "/no/such/engine"],
        capture_output=True,
        timeout=HANGS,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == (
        b"cannot No such file or directory: /no/such/engine\n",
        0,
    )
