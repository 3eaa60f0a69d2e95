"""Init process for containers, used when llama-bridge runs as process 1.

Process 1 must reap orphaned processes and forward signals. It does only that: it forks a second
process, which becomes llama-bridge, and exits with the same status. Without it, zombies would
accumulate and signals without a handler would be ignored.
"""

import os
import signal
from types import FrameType

FORWARDED_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def fork_child() -> None:
    """Fork, and return in the child only; the parent reaps until the child exits, then exits.

    Call this before anything else is started.
    """
    # No signal may arrive before there is a handler that forwards it.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS)
    second = os.fork()
    if second == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED_SIGNALS)
        return
    os._exit(reap_until_exit(second))


def reap_until_exit(second: int) -> int:
    """Forward signals to `second` and reap all children until it exits; return its exit code.

    If a signal ended it, the code is 128 plus the signal's number, as in a shell.
    """

    def pass_on(number: int, _: FrameType | None) -> None:
        os.kill(second, number)

    for number in FORWARDED_SIGNALS:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED_SIGNALS)
    while True:
        pid, status = os.wait()
        if pid == second:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code
