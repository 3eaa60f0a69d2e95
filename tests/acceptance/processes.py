"""Programs that a test starts: their output is kept, every wait is bounded, and each is ended by
its own id.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

POLL = 0.05
GRACE = 15.0  # what a program has to end itself after SIGTERM
TAIL = 6_000  # characters of output that a failure shows


class Program:
    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def evidence(self) -> str:
        ended = self.process.poll()
        state = "still running" if ended is None else f"ended with {ended}"
        return f"--- {self.name} ({state}) ---\n{self.output()[-TAIL:]}"

    def wait_for(self, look: Callable[[], Found | None], what: str, seconds: float) -> Found:
        """What `look` finds, asked again until it finds something; an end of the program ends
        the wait too.
        """
        deadline = time.monotonic() + seconds
        while (found := look()) is None:
            assert self.process.poll() is None, (
                f"{self.name} ended before {what}\n{self.evidence()}"
            )
            assert time.monotonic() < deadline, (
                f"{self.name}: no {what} within {seconds:.0f} s\n{self.evidence()}"
            )
            time.sleep(POLL)
        return found

    def wait(self, what: str, seconds: float) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(
                f"{self.name}: no {what} within {seconds:.0f} s\n{self.evidence()}"
            ) from error

    def end(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            # It leads its group: what it left behind goes with it.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(GRACE)


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str | Path], log: Path, cwd: Path, environment: Mapping[str, str]
) -> Iterator[Program]:
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    program = Program(name, process, log)
    try:
        yield program
    finally:
        program.end()


def bare_environment(home: Path) -> dict[str, str]:
    """Nothing of the user's or the build's settings: a fresh home and the way to the system's
    programs.
    """
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
