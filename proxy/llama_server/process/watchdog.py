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
    bell = _bell()
    try:
        child = _spawn(command)
    except OSError as error:
        _tell(f"cannot {error.strerror}: {command[0]}")
        return
    _tell(f"pid {child}")
    status = _watch(child, bell)
    if status is None:
        status = _end(child, bell, grace)
    _tell(f"exit {status}")
    os.killpg(os.getpgrp(), signal.SIGKILL)  # whatever the engine left behind, and ourselves


def _bell() -> int:
    """A pipe that rings for every signal, so that one select hears signals and the lifeline
    alike.
    """
    heard, ring = os.pipe()
    for end in (heard, ring):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ENDING):
        signal.signal(number, lambda *_: None)
    return heard


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


def _watch(child: int, bell: int) -> int | None:
    """Until the engine has ended (its exit code) or we are to end it (None)."""
    while True:
        ready, _, _ = select.select([LIFELINE, bell], [], [])
        heard = os.read(bell, 512) if bell in ready else b""
        if (status := _exit_code(child)) is not None:
            return status
        if LIFELINE in ready or ENDING.intersection(heard):
            return None


def _end(child: int, bell: int, grace: float) -> int:
    os.killpg(os.getpgrp(), signal.SIGTERM)
    patience = time.monotonic() + grace
    while (status := _exit_code(child)) is None and (left := patience - time.monotonic()) > 0:
        if select.select([bell], [], [], left)[0]:
            os.read(bell, 512)
    return -signal.SIGKILL if status is None else status


def _exit_code(child: int) -> int | None:
    ended, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _tell(line: str) -> None:
    try:
        os.write(REPORT, f"{line}\n".encode())
    except BrokenPipeError:
        return  # nobody is left to hear it


if __name__ == "__main__":
    main(sys.argv[1:])
