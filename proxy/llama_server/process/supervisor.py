"""Supervisor of one llama-server: starts, watches, restarts and stops its process.

Only the supervisor's own task changes the state. Other tasks request a change and wait for it, for
example with `ensure_ready`.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.errors import ChildFailed, ModelLoading, ShuttingDown
from proxy.llama_server.admission_queue import AdmissionQueue, EngineSlotMonitor
from proxy.llama_server.gpu import uptime_seconds
from proxy.llama_server.launch import HOST, LaunchSpec, ProcessAddress, free_port
from proxy.llama_server.process.crash_diagnosis import crashed, diagnose
from proxy.llama_server.process.gpu_check import GpuProblem, gpu_problem, small_context_warning
from proxy.llama_server.process.logs import EngineInfo, ProcessLog, last_lines
from proxy.llama_server.process.readiness import ServerProps, StartFailed, wait_ready
from proxy.llama_server.process.server_process import ServerProcess
from proxy.llama_server.process.state import ProcessEvent, ProcessHistory, ProcessState, describe
from proxy.llama_server.process.tasks import cancel
from proxy.llama_server.process.timeouts import DEFAULT, Timeouts
from proxy.llama_server.slot_cache import SlotCache
from proxy.llama_server.suspects import CrashSuspects

logger = logging.getLogger("llama_bridge.child")


class Supervisor:
    def __init__(
        self,
        launch: LaunchSpec,
        *,
        on_line: Callable[[str], None] = lambda _: None,
        busy: Callable[[], bool] = lambda: False,  # whether requests are in flight
        timeouts: Timeouts = DEFAULT,
        require_gpu: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.launch = launch
        self.timeouts = timeouts
        self.history = ProcessHistory()
        self.log = ProcessLog(on_line)
        self.suspects = CrashSuspects(clock)
        self.admission = AdmissionQueue(EngineSlotMonitor(lambda: self._address))
        self._busy = busy
        self._on_line = on_line
        self._require_gpu = require_gpu
        self._gpu_rechecked = False
        self._slots = SlotCache(
            launch,
            timeouts.slot_files,
            lambda level, words: self._log(level, f"{launch.alias}: {words}"),
        )
        self._address = ProcessAddress("", "")
        self._props = ServerProps(None, None)
        self._process: ServerProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._answer_count = 0
        self._retry_allowed = False  # FAILED has lasted long enough
        self._changed = self._start_requested = self._stop_requested = asyncio.Event()

    # Public interface.

    async def ensure_ready(self) -> ProcessAddress:
        try:
            async with asyncio.timeout(self.timeouts.wait):
                while self.state is not ProcessState.READY:
                    self._request_start()
                    await self._changed.wait()
        except TimeoutError:
            raise ModelLoading(
                f"{self.launch.alias} is still {self.state.value} after {self.timeouts.wait:g} s"
            ) from None
        return self._address

    async def wait_exit_noticed(self, url: str) -> None:
        """Wait until the exit of the process at `url` was noticed, at most `timeouts.grace`.

        Call this after a connection to `url` failed.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timeouts.grace):
                while self.state is ProcessState.READY and self._address.url == url:
                    await self._changed.wait()

    @property
    def address(self) -> ProcessAddress:
        return self._address

    async def start(self) -> None:
        """Start the process in the background, without waiting until it is ready."""
        self._closed = False
        self._ensure_running()

    async def stop(self) -> None:
        if self._task and not self._task.done():
            self._stop_requested.set()
            await asyncio.wait({self._task})

    def record_answer(self, prompt: int = 0, cached: int = 0) -> None:
        """Count a finished answer.

        A process that has answered restarts immediately when it exits. The token counts tell the
        slot cache whether restored slots helped; 0 means unknown.
        """
        self._answer_count += 1
        self._slots.record_hit_rate(prompt, cached)

    @property
    def state(self) -> ProcessState:
        return self.history.state

    @property
    def changed(self) -> asyncio.Event:
        """Return the event that is set at the next state change; each change has its own event."""
        return self._changed

    @property
    def reason(self) -> str:
        return self.history.reason

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and not self._process.exited.done() else None

    @property
    def process_group(self) -> int | None:
        """Return the id of the process group, also after the group has ended."""
        return self._process.process_group if self._process else None

    @property
    def engine_info(self) -> EngineInfo:
        return replace(self.log.engine_info, context=self._props.context, slots=self._props.slots)

    @property
    def is_failed(self) -> bool:
        """Return whether the start has failed and it is too early for another attempt."""
        return self.state is ProcessState.FAILED and not self._retry_allowed

    @property
    def gpu_problem(self) -> GpuProblem | None:
        return gpu_problem(self.launch, self.engine_info, required=self._require_gpu)

    @property
    def warning(self) -> str | None:
        """Return why the model does not run on the available GPU, or None."""
        return str(problem) if (problem := self.gpu_problem) else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the process and refuse further starts until `start` is called."""
        self._closed = True
        self.admission.close(ShuttingDown("this proxy is shutting down"))
        await self.stop()

    # The task that writes the state, from the first start request to STOPPED.

    def _request_start(self) -> None:
        if self._closed:
            raise ShuttingDown("this proxy is shutting down")
        if self.is_failed:
            raise ChildFailed(
                f"{self.launch.alias} could not be started: "
                f"{self.reason}{last_lines(self.log.tail)}"
            )
        self._ensure_running()
        self._start_requested.set()

    def _ensure_running(self) -> None:
        if self._task is None or self._task.done():
            self._changed, self._start_requested, self._stop_requested = (
                asyncio.Event(),
                asyncio.Event(),
                asyncio.Event(),
            )
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        self._transition(ProcessEvent.START_REQUESTED)
        try:
            while self.state is not ProcessState.STOPPED:
                await self._step()
        finally:  # also if the loop closes or after an unexpected error: wake all waiters
            self.history = ProcessHistory()
            self._changed.set()

    async def _step(self) -> None:
        event, reason = await self._next_event()
        if event is ProcessEvent.RESTART_REQUESTED and self._busy():
            return  # a request arrived meanwhile, so keep the process
        was_ready = self.state is ProcessState.READY
        self._transition(event, reason)
        if was_ready:
            assert self._process
            self.suspects.process_ended(crashed=crashed(self._process.exit_code))

    def _transition(self, event: ProcessEvent, reason: str = "") -> None:
        self.history = self.history.after(event, reason)
        level = (
            logging.WARNING
            if event in (ProcessEvent.EXITED, ProcessEvent.CANNOT_START)
            else logging.INFO
        )
        self._log(level, f"{self.launch.alias} {describe(self.state, reason)}")
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _log(self, level: int, line: str) -> None:
        logger.log(level, "%s", line)
        self._on_line(f"[llama-bridge] {line}")

    async def _next_event(self) -> tuple[ProcessEvent, str]:
        """Wait for the next event of the current state; a stop request ends every wait."""
        if self.state is ProcessState.STOPPING:
            return await self._run_stop()
        waits: dict[ProcessState, Callable[[], Awaitable[tuple[ProcessEvent, str]]]] = {
            ProcessState.STARTING: self._run_start,
            ProcessState.READY: self._wait_exit,
            ProcessState.BACKOFF: self._wait_backoff,
            ProcessState.FAILED: self._wait_retry,
        }
        activity = asyncio.ensure_future(waits[self.state]())
        stop = asyncio.create_task(self._stop_requested.wait())
        try:
            await asyncio.wait({activity, stop}, return_when=asyncio.FIRST_COMPLETED)
            return (ProcessEvent.STOP_REQUESTED, "") if stop.done() else activity.result()
        finally:
            await cancel(activity, stop)

    async def _run_start(self) -> tuple[ProcessEvent, str]:
        self.log, self._props, self._answer_count, began = (
            ProcessLog(self._on_line),
            ServerProps(None, None),
            0,
            time.monotonic(),
        )
        times = self.timeouts
        if self._process:  # never run two processes
            await self._process.end()
        if isinstance(model := self.launch.model, Path) and not model.exists():
            return ProcessEvent.CANNOT_START, f"no such file: {model}"
        try:
            if self._slots.enabled:
                await asyncio.to_thread(self._slots.prepare)
            port = free_port()
            self._address = ProcessAddress(f"http://{HOST}:{port}", secrets.token_urlsafe(24))
            environment = self.launch.environment(self._address.key)
            command, private = self.launch.command(port), self._slots.enabled
            process = self._process = ServerProcess(
                command, environment, self.log, grace=times.grace, kill=times.kill, private=private
            )
        except OSError as error:
            return ProcessEvent.EXITED, f"cannot start a process: {error}"
        ready = asyncio.create_task(
            wait_ready(self._address, self.launch, load=times.load, token=times.token)
        )
        try:
            await asyncio.wait({ready, process.exited}, return_when=asyncio.FIRST_COMPLETED)
            if process.exited.done():
                return self._exit_event(process)
            self._props = ready.result()
        except Exception as error:  # StartFailed, or a bug: no request may be left waiting
            await process.end()
            return ProcessEvent.EXITED, str(error) if isinstance(error, StartFailed) else repr(
                error
            )
        finally:
            await cancel(ready)
        if self.warning:
            logger.warning(self.warning)
            # Also right after boot: FAILED is retried, but an answer cannot be withdrawn.
            if self._require_gpu:
                await process.end()
                return ProcessEvent.EXITED, f"require-gpu: {self.warning}"
        if small := small_context_warning(self.launch.alias, self._props.context):
            logger.warning(small)
        await self._slots.restore(self._address)
        return (
            ProcessEvent.BECAME_READY,
            f"in {time.monotonic() - began:.2f} s, process {process.pid}, "
            f"{self.engine_info.summary}",
        )

    async def _wait_exit(self) -> tuple[ProcessEvent, str]:
        assert self._process
        if self.warning and self._may_recheck_gpu:
            done, _ = await asyncio.wait({self._process.exited}, timeout=self.timeouts.gpu_recheck)
            self._gpu_rechecked = True
            if not done:
                return (
                    ProcessEvent.RESTART_REQUESTED,
                    "checking for the GPU again, shortly after boot",
                )
        await asyncio.wait({self._process.exited})
        if self._answer_count:
            self.history = self.history.after(ProcessEvent.ANSWERED)
        return self._exit_event(self._process)

    @property
    def _may_recheck_gpu(self) -> bool:
        """Return whether to check for the GPU again.

        Shortly after boot, the driver of the GPU may not be loaded yet.
        """
        return not self._gpu_rechecked and uptime_seconds() < self.timeouts.after_boot

    async def _wait_backoff(self) -> tuple[ProcessEvent, str]:
        await asyncio.sleep(self.history.backoff * self.timeouts.backoff)
        return ProcessEvent.BACKOFF_OVER, ""

    async def _wait_retry(self) -> tuple[ProcessEvent, str]:
        await asyncio.sleep(self.timeouts.failed)
        self._start_requested.clear()
        self._retry_allowed = True
        try:
            await self._start_requested.wait()
        finally:
            self._retry_allowed = False
        return ProcessEvent.START_REQUESTED, ""

    async def _run_stop(self) -> tuple[ProcessEvent, str]:
        if self._process:
            if self._props.slots and not self._process.exited.done():
                await self._slots.save(self._address)
            await self._process.end()
        return ProcessEvent.STOPPED, ""

    def _exit_event(self, process: ServerProcess) -> tuple[ProcessEvent, str]:
        return ProcessEvent.EXITED, diagnose(self.log.tail, process.exit_code)
