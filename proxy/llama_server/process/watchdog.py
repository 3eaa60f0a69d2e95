"""Watchdog process that ends the engine when llama-bridge exits.

    python -I -S watchdog.py GRACE PROGRAM ARGUMENT…

It leads the process group of the engine and reads standard input, whose other end only llama-bridge
holds. End of file means that llama-bridge has closed it or was killed; then the watchdog sends
SIGTERM to the group, waits GRACE seconds and sends SIGKILL. The watchdog belongs to the group and
ends with it, so its unreaped process id keeps the group's id from being reused. On standard output
it reports `pid N`, then `exit N` (negative: a signal), or `cannot …`. The engine gets standard
error only. It imports only a few standard modules, so that it starts quickly and stays small.
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
    os.killpg(os.getpgrp(), signal.SIGKILL)  # what the engine left behind, and the watchdog itself


def _signal_pipe() -> int:
    """Return a pipe that becomes readable on every signal, so that one select covers both."""
    read_end, write_end = os.pipe()
    for end in (read_end, write_end):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ENDING):
        signal.signal(number, lambda *_: None)
    return read_end


def _spawn(command: Sequence[str]) -> int:
    # The engine must inherit neither the lifeline, which would never end then, nor the report pipe.
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
    """Wait for the engine's exit and return its exit code, or None if the group must be ended."""
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
        return  # llama-bridge is gone


if __name__ == "__main__":
    main(sys.argv[1:])
