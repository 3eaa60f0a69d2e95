"""One llama-server process and its process group, from start to exit."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from proxy.llama_server.process.logs import LineReader, ProcessLog

WATCHDOG = (sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py")))


class ServerProcess:
    """Process group of one llama-server, led by a watchdog.

    `exited` is done when the group has ended, whatever the reason. `exit_code` is None if the
    watchdog could not report it. The files of a `private` process are readable by their owner only.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: ProcessLog,
        *,
        grace: float,
        kill: float,
        private: bool = False,
    ) -> None:
        self.pid: int | None = None
        self.exit_code: int | None = None
        self._timeout, self._kill = grace + kill, kill
        self._log = log
        self._watchdog = subprocess.Popen(
            [*WATCHDOG, str(grace), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            umask=0o077 if private else -1,
        )
        assert self._watchdog.stdin
        assert self._watchdog.stdout
        assert self._watchdog.stderr
        self._lifeline = self._watchdog.stdin
        self._report = LineReader(self._watchdog.stdout, self._on_report)
        self._output = LineReader(self._watchdog.stderr, log.add)
        self.exited = asyncio.create_task(self._wait_exit())

    @property
    def process_group(self) -> int:
        return self._watchdog.pid

    async def end(self) -> None:
        """End the process group and wait for its exit, for a limited time.

        The watchdog sends SIGTERM, waits, and sends SIGKILL. If the watchdog fails to do so, this
        method sends SIGKILL.
        """
        if self.exited.done():
            return
        self._lifeline.close()
        done, _ = await asyncio.wait({self.exited}, timeout=self._timeout)
        if not done:
            self._kill_group()
            await asyncio.wait({self.exited}, timeout=2 * self._kill)

    async def _wait_exit(self) -> None:
        try:
            try:
                # Only the watchdog holds that pipe, so it has ended or is about to.
                await self._report.ended.wait()
            finally:  # also if the event loop is closing
                self._reap()
            async with asyncio.timeout(self._kill):
                await self._output.ended.wait()
        except TimeoutError:
            self._log.add(
                f"[llama-bridge] a process started by llama-server (group {self.process_group}) "
                f"is still running"
            )
        finally:
            self._output.close()

    def _reap(self) -> None:
        self._kill_group()
        self._lifeline.close()
        self._report.close()
        self._watchdog.wait()  # it was killed, so this takes a moment at most

    def _kill_group(self) -> None:
        """Kill the process group, unless the watchdog has been reaped.

        Until the watchdog is reaped, its process id cannot be reused for another group.
        """
        if self._watchdog.returncode is None:
            # macOS raises PermissionError for a group of zombies.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._watchdog.pid, signal.SIGKILL)

    def _on_report(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "pid":
            self.pid = int(rest)
        elif word == "exit":
            self.exit_code = int(rest)
        else:
            self._log.add(f"[llama-bridge] the engine cannot be started: {rest}")
