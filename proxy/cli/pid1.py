"""As process 1 of a container we have duties that only the first process has: to bury whoever is
left to it, and to pass on signals.

So the first process does nothing else: it starts a second one, which is llama-bridge, and ends as
that ends. Without it the dead would pile up, and a signal would find nobody who listens.
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
    """Returns in the second process.

    The first never returns. To be called before anything else was started.
    """
    # Until there is a handler that passes them on.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED_SIGNALS)
    second = os.fork()
    if second == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED_SIGNALS)
        return
    os._exit(reap_until_exit(second))


def reap_until_exit(second: int) -> int:
    """Buries everybody until the second process is dead; its exit code, as a shell would tell
    it.
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
