"""The guard: a process of its own between us and the engine.

It leads the engine's group and ends it when we are gone.

    python -I -S watchdog.py GRACE PROGRAM ARGUMENT…

It reads standard input, whose other end only we hold, and never gets a byte: the end of file means
"end the group", be it that we closed it or that we were killed. SIGTERM to the group, GRACE
seconds, SIGKILL. The guard is part of the group and leaves with it: so its process id, unreaped by
us, keeps the group's number from being given to strangers. On standard output it tells `pid N`,
then `exit N` (negative: a signal), or `cannot …`. The engine gets standard error only. Nothing but
a handful of standard modules: it has to be there at once and to weigh nothing.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

LIFELINE, REPORT, LOG = 0, 1, 2
ENDING = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGINT})


def main(arguments: Sequence[str]) -> None:
    grace, command = float(arguments[0]), arguments[1:]
    signals = _signal_pipe()
    try:
        child = _spawn(command)
    except OSError as error:
        _report(f"cannot {error.strerror}: {command[0]}")
        return
    _report(f"pid {child}")
    status = _watch(child, signals)
    if status is None:
        status = _end(child, signals, grace)
    _report(f"exit {status}")
    os.killpg(os.getpgrp(), signal.SIGKILL)  # whatever the engine left behind, and ourselves


def _signal_pipe() -> int:
    """A pipe that rings for every signal, so that one select hears signals and the lifeline
    alike.
    """
    read_end, write_end = os.pipe()
    for end in (read_end, write_end):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ENDING):
        signal.signal(number, lambda *_: None)
    return read_end


def _spawn(command: Sequence[str]) -> int:
    # The engine must hold neither the lifeline (our end of file would never come) nor the report.
    wires = [
        (os.POSIX_SPAWN_OPEN, LIFELINE, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, LOG, REPORT),
    ]
    return os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        file_actions=wires,
        setsigdef=[signal.SIGPIPE, *ENDING],
    )


def _watch(child: int, signals: int) -> int | None:
    """Until the engine has ended (its exit code) or we are to end it (None)."""
    while True:
        ready, _, _ = select.select([LIFELINE, signals], [], [])
        heard = os.read(signals, 512) if signals in ready else b""
        if (status := _exit_code(child)) is not None:
            return status
        if LIFELINE in ready or ENDING.intersection(heard):
            return None


def _end(child: int, signals: int, grace: float) -> int:
    os.killpg(os.getpgrp(), signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (status := _exit_code(child)) is None and (left := deadline - time.monotonic()) > 0:
        if select.select([signals], [], [], left)[0]:
            os.read(signals, 512)
    return -signal.SIGKILL if status is None else status


def _exit_code(child: int) -> int | None:
    ended, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _report(line: str) -> None:
    try:
        os.write(REPORT, f"{line}\n".encode())
    except BrokenPipeError:
        return  # nobody is left to hear it


if __name__ == "__main__":
    main(sys.argv[1:])
