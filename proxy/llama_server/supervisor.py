"""Looks after the child: the only writer of its life. Everybody else says what it needs and waits (`ensure_ready`)."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from proxy.errors import ChildFailed, ModelLoading, Stopping
from proxy.llama_server.causes import cause_of_death
from proxy.llama_server.child import Child
from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.launch import HOST, Launch, free_port
from proxy.llama_server.life import Happening, Life, State
from proxy.llama_server.logs import Facts, Log
from proxy.llama_server.readiness import Address, Found, NeverReady, come_up

logger = logging.getLogger("llama_bridge.child")


@dataclass(frozen=True)
class Timings:
    """Seconds."""

    wait: float = 600  # so long a request waits for a child that starts
    load: float = 1800  # a start that takes longer has failed
    token: float = 120  # the first token
    grace: float = 5  # from SIGTERM to SIGKILL
    kill: float = 5  # for what SIGKILL does not end at once
    failed: float = 30  # so long FAILED is answered without another try
    rest: float = 1  # the first rest; each one after it is twice as long


def _ignore(_: str) -> None:
    return None


async def _let_go(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Supervisor:
    def __init__(self, launch: Launch, *, on_line: Callable[[str], None] = _ignore, timings: Timings = Timings()) -> None:
        self.launch = launch
        self.timings = timings
        self.life = Life()
        self.log = Log(on_line)
        self._on_line = on_line
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
            raise ModelLoading(f"{self.launch.alias} is still {self.state.value} after {self.timings.wait:g} s.") from None
        return self._address

    async def ensure_elsewhere(self, url: str) -> Address:
        """For somebody whom nobody answered there: the child has died, and we shall hear of it in a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timings.grace):
                while self.state is State.READY and self._address.url == url:
                    await self._changed.wait()
        return await self.ensure_ready()

    async def start(self) -> None:
        """Comes back at once: the child comes up in the background."""
        self._closed = False
        self._open()

    async def stop(self) -> None:
        if self._task and not self._task.done():
            self._stop_asked.set()
            await asyncio.wait({self._task})

    def answered(self) -> None:
        """An answer of this child was finished: should it die now, it starts again at once."""
        self._answers += 1

    @property
    def state(self) -> State:
        return self.life.state

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
    def log_tail(self) -> list[str]:
        return self.log.tail

    @property
    def facts(self) -> Facts:
        return replace(self.log.facts, context=self._found.context, slots=self._found.slots)

    @property
    def warning(self) -> str | None:
        """The loud one: a graphics card is there and the engine does not use it."""
        gpu = visible_gpu()
        if not gpu or not self.facts.on_cpu:
            return None
        cure = "Name a llama-server built for it in LLAMA_SERVER." if self.launch.engine is None else "Take a build made for it."
        return f"This machine has {gpu}, but the engine runs on the CPU: answers will be many times slower. {cure}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        await self.stop()

    # the writer: one task from the first wish to STOPPED

    def _want(self) -> None:
        if self._closed:
            raise Stopping("This proxy is shutting down.")
        if self.state is State.FAILED and not self._may_try:
            lines = "\n".join(self.log.tail)
            raise ChildFailed(f"{self.launch.alias} could not be started: {self.reason}\nThe last lines of its log:\n{lines}")
        self._open()
        self._wanted.set()

    def _open(self) -> None:
        if self._task is None or self._task.done():
            self._changed, self._wanted, self._stop_asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
            self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        self._write(Happening.WANTED)
        try:
            while self.state is not State.STOPPED:
                self._write(*await self._next())
        finally:  # also when the loop goes away, or by a defect of ours: nobody is left waiting
            self.life = Life()
            self._changed.set()

    def _write(self, happening: Happening, reason: str = "") -> None:
        self.life = self.life.after(happening, reason)
        level = logging.WARNING if happening is Happening.DIED else logging.INFO
        logger.log(level, "%s is %s%s", self.launch.alias, self.state.value, f": {reason}" if reason else "")
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

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
        self.log, self._found, self._answers, began = Log(self._on_line), Found(None, None), 0, time.monotonic()
        times = self.timings
        if self._child:  # never two
            await self._child.end()
        try:
            port = free_port()
            self._address = Address(f"http://{HOST}:{port}", secrets.token_urlsafe(24))
            environment = self.launch.environment(self._address.key)
            child = self._child = Child(self.launch.command(port), environment, self.log, grace=times.grace, kill=times.kill)
        except OSError as error:
            return Happening.DIED, f"this machine could not start a process: {error}"
        ready = asyncio.create_task(come_up(self._address, self.launch, load=times.load, token=times.token))
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
        return Happening.CAME_UP, f"in {time.monotonic() - began:.2f} s, process {child.pid}"

    async def _ready(self) -> tuple[Happening, str]:
        assert self._child
        await asyncio.wait({self._child.over})
        if self._answers:
            self._write(Happening.ANSWERED)
        return self._death(self._child)

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
            await self._child.end()
        return Happening.GONE, ""

    def _death(self, child: Child) -> tuple[Happening, str]:
        return Happening.DIED, cause_of_death(self.log.tail, child.exit_code)
