"""Looks after the child: the only writer of its life.

Everybody else says what it needs and waits (`ensure_ready`).
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

from proxy.errors import ChildFailed, ModelLoading, Stopping
from proxy.llama_server.admission_queue import AdmissionQueue, EngineSlots
from proxy.llama_server.gpu import since_boot
from proxy.llama_server.launch import HOST, Address, Launch, free_port
from proxy.llama_server.process.crash_diagnosis import cause_of_death, crashed
from proxy.llama_server.process.gpu_check import GpuProblem, gpu_problem, small_slot
from proxy.llama_server.process.logs import Facts, Log, last_lines
from proxy.llama_server.process.readiness import Found, NeverReady, come_up
from proxy.llama_server.process.server_process import Child
from proxy.llama_server.process.state import Happening, Life, State, told
from proxy.llama_server.process.tasks import _let_go
from proxy.llama_server.process.timeouts import USUAL, Timings
from proxy.llama_server.slot_cache import Slots
from proxy.llama_server.suspects import Suspects

logger = logging.getLogger("llama_bridge.child")


class Supervisor:
    def __init__(
        self,
        launch: Launch,
        *,
        on_line: Callable[[str], None] = lambda _: None,
        busy: Callable[[], bool] = lambda: False,  # whether answers run
        timings: Timings = USUAL,
        require_gpu: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.launch = launch
        self.timings = timings
        self.life = Life()
        self.log = Log(on_line)
        self.suspects = Suspects(clock)
        self.admission = AdmissionQueue(EngineSlots(lambda: self._address))
        self._busy = busy
        self._on_line = on_line
        self._require_gpu = require_gpu
        self._looked_twice = False
        self._slots = Slots(
            launch, timings.slots, lambda level, words: self._say(level, f"{launch.alias}: {words}")
        )
        self._address = Address("", "")
        self._found = Found(None, None)
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._answers = 0
        self._may_try = False  # FAILED has lasted long enough
        self._changed = self._wanted = self._stop_asked = asyncio.Event()

    # what everybody may ask

    async def ensure_ready(self) -> Address:
        try:
            async with asyncio.timeout(self.timings.wait):
                while self.state is not State.READY:
                    self._want()
                    await self._changed.wait()
        except TimeoutError:
            raise ModelLoading(
                f"{self.launch.alias} is still {self.state.value} after {self.timings.wait:g} s."
            ) from None
        return self._address

    async def exit_noticed(self, url: str) -> None:
        """Call this after a connection to `url` failed: return when the exit of that process was
        noticed, or after `grace`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timings.grace):
                while self.state is State.READY and self._address.url == url:
                    await self._changed.wait()

    @property
    def address(self) -> Address:
        return self._address

    async def start(self) -> None:
        """Comes back at once: the child comes up in the background."""
        self._closed = False
        self._open()

    async def stop(self) -> None:
        if self._task and not self._task.done():
            self._stop_asked.set()
            await asyncio.wait({self._task})

    def answered(self, prompt: int = 0, cached: int = 0) -> None:
        """An answer of this child was finished: should it die now, it starts again at once.

        With the tokens of its question, and how many of them it knew, where that is told."""
        self._answers += 1
        self._slots.judge(prompt, cached)

    @property
    def state(self) -> State:
        return self.life.state

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change of the state; each change has an event of its own."""
        return self._changed

    @property
    def reason(self) -> str:
        return self.life.reason

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and not self._child.over.done() else None

    @property
    def group(self) -> int | None:
        """The number of the process group, also when it has ended."""
        return self._child.group if self._child else None

    @property
    def facts(self) -> Facts:
        return replace(self.log.facts, context=self._found.context, slots=self._found.slots)

    @property
    def gave_up(self) -> bool:
        """FAILED, and not yet long enough for another try."""
        return self.state is State.FAILED and not self._may_try

    @property
    def gpu_problem(self) -> GpuProblem | None:
        return gpu_problem(self.launch, self.facts, required=self._require_gpu)

    @property
    def warning(self) -> str | None:
        """That the model does not run where it could."""
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
        """Stops it, and nobody starts it again."""
        self._closed = True
        self.admission.close(Stopping("This proxy is shutting down."))
        await self.stop()

    # the writer: one task from the first wish to STOPPED

    def _want(self) -> None:
        if self._closed:
            raise Stopping("This proxy is shutting down.")
        if self.gave_up:
            raise ChildFailed(
                f"{self.launch.alias} could not be started: "
                f"{self.reason}{last_lines(self.log.tail)}"
            )
        self._open()
        self._wanted.set()

    def _open(self) -> None:
        if self._task is None or self._task.done():
            self._changed, self._wanted, self._stop_asked = (
                asyncio.Event(),
                asyncio.Event(),
                asyncio.Event(),
            )
            self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        self._write(Happening.WANTED)
        try:
            while self.state is not State.STOPPED:
                await self._step()
        finally:  # also when the loop goes away, or by a defect of ours: nobody is left waiting
            self.life = Life()
            self._changed.set()

    async def _step(self) -> None:
        happening, reason = await self._next()
        if happening is Happening.RENEWED and self._busy():
            return  # a request came meanwhile: the child stays
        was_ready = self.state is State.READY
        self._write(happening, reason)
        if was_ready:
            assert self._child
            self.suspects.process_ended(crashed=crashed(self._child.exit_code))

    def _write(self, happening: Happening, reason: str = "") -> None:
        self.life = self.life.after(happening, reason)
        level = (
            logging.WARNING
            if happening in (Happening.DIED, Happening.CANNOT_START)
            else logging.INFO
        )
        self._say(level, f"{self.launch.alias} {told(self.state, reason)}")
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _say(self, level: int, line: str) -> None:
        logger.log(level, "%s", line)
        self._on_line(f"[llama-bridge] {line}")

    async def _next(self) -> tuple[Happening, str]:
        """What this state waits for; asking to stop ends every wait."""
        if self.state is State.STOPPING:
            return await self._stopping()
        waits: dict[State, Callable[[], Awaitable[tuple[Happening, str]]]] = {
            State.STARTING: self._starting,
            State.READY: self._ready,
            State.RESTING: self._resting,
            State.FAILED: self._failed,
        }
        activity = asyncio.ensure_future(waits[self.state]())
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            await asyncio.wait({activity, stop}, return_when=asyncio.FIRST_COMPLETED)
            return (Happening.STOP_ASKED, "") if stop.done() else activity.result()
        finally:
            await _let_go(activity, stop)

    async def _starting(self) -> tuple[Happening, str]:
        self.log, self._found, self._answers, began = (
            Log(self._on_line),
            Found(None, None),
            0,
            time.monotonic(),
        )
        times = self.timings
        if self._child:  # never two
            await self._child.end()
        if isinstance(model := self.launch.model, Path) and not model.exists():
            return Happening.CANNOT_START, f"there is no file {model}"
        try:
            if self._slots.kept:
                await asyncio.to_thread(self._slots.prepare)
            port = free_port()
            self._address = Address(f"http://{HOST}:{port}", secrets.token_urlsafe(24))
            environment = self.launch.environment(self._address.key)
            command, private = self.launch.command(port), self._slots.kept
            child = self._child = Child(
                command, environment, self.log, grace=times.grace, kill=times.kill, private=private
            )
        except OSError as error:
            return Happening.DIED, f"this machine could not start a process: {error}"
        ready = asyncio.create_task(
            come_up(self._address, self.launch, load=times.load, token=times.token)
        )
        try:
            await asyncio.wait({ready, child.over}, return_when=asyncio.FIRST_COMPLETED)
            if child.over.done():
                return self._death(child)
            self._found = ready.result()
        except Exception as error:  # NeverReady, or a defect of ours: nobody is left waiting for it
            await child.end()
            return Happening.DIED, str(error) if isinstance(error, NeverReady) else repr(error)
        finally:
            await _let_go(ready)
        if self.warning:
            logger.warning(self.warning)
            # Also right after the machine's start: FAILED is tried again, an answer is not taken
            # back.
            if self._require_gpu:
                await child.end()
                return Happening.DIED, f"require-gpu: {self.warning}"
        if small := small_slot(self.launch.alias, self._found.context):
            logger.warning(small)
        await self._slots.restore(self._address)
        return (
            Happening.CAME_UP,
            f"in {time.monotonic() - began:.2f} s, process {child.pid}, {self.facts.where}",
        )

    async def _ready(self) -> tuple[Happening, str]:
        assert self._child
        if self.warning and self._may_look_again:
            done, _ = await asyncio.wait({self._child.over}, timeout=self.timings.second_look)
            self._looked_twice = True
            if not done:
                return (
                    Happening.RENEWED,
                    "the machine has only just started: its GPU is looked for once more",
                )
        await asyncio.wait({self._child.over})
        if self._answers:
            self.life = self.life.after(Happening.ANSWERED)
        return self._death(self._child)

    @property
    def _may_look_again(self) -> bool:
        """Right after the machine's start the driver of a graphics card may come later than we
        do.
        """
        return not self._looked_twice and since_boot() < self.timings.boot

    async def _resting(self) -> tuple[Happening, str]:
        await asyncio.sleep(self.life.rest * self.timings.rest)
        return Happening.RESTED, ""

    async def _failed(self) -> tuple[Happening, str]:
        await asyncio.sleep(self.timings.failed)
        self._wanted.clear()
        self._may_try = True
        try:
            await self._wanted.wait()
        finally:
            self._may_try = False
        return Happening.WANTED, ""

    async def _stopping(self) -> tuple[Happening, str]:
        if self._child:
            if self._found.slots and not self._child.over.done():
                await self._slots.save(self._address)
            await self._child.end()
        return Happening.GONE, ""

    def _death(self, child: Child) -> tuple[Happening, str]:
        return Happening.DIED, cause_of_death(self.log.tail, child.exit_code)
