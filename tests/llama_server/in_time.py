"""Hours of a child's life in a moment: a loop whose clock jumps to what comes next, and children
that do what a script says.
"""

import asyncio
import itertools
import re
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from proxy.llama_server import LaunchSpec, ProcessAddress, Supervisor, pool
from proxy.llama_server.process import gpu_check, supervisor
from proxy.llama_server.process.logs import ProcessLog
from proxy.llama_server.process.readiness import ServerProps, StartFailed

T = TypeVar("T")
_TOLD = re.compile(r"^\[llama-bridge\] m (?:is|has) ")


class _NobodyWaits(selectors.DefaultSelector):
    def __init__(self, loop: "Jumping") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        assert events or timeout is not None, "everybody waits, and nothing will ever happen"
        self._loop.now += 0 if events else timeout or 0
        return events


class Jumping(asyncio.SelectorEventLoop):
    """Its time stands still while anything is to be done, and then it is the time of the next
    timer.
    """

    now = 0.0

    def __init__(self) -> None:
        super().__init__(_NobodyWaits(self))

    def time(self) -> float:
        return self.now


def timed(act: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, float]:
    """Run `act` on a clock that only waiting moves, and return its result and its seconds."""
    with asyncio.Runner(loop_factory=Jumping) as runner:
        return runner.run(act()), runner.get_loop().time()


@dataclass(frozen=True)
class Fate:
    """Of one child, in seconds; None is never."""

    up: float | None = 1.0  # from its start
    dies: float | None = None  # from its start
    ending: float = 0.0  # from the moment when it is asked to end
    refused: bool = False  # what is up is not ours
    says: tuple[str, ...] = ()  # to its log


@dataclass
class Stage:
    # Of one child after the other; the last one is that of all that follow.
    fates: Sequence[Fate] = ()
    happened: list[tuple[float, str]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    living: int = 0
    died: int = 0  # without being asked to end
    most: int = 0  # of them at once
    fate: Fate = Fate()
    child: "Actor | None" = None  # the last one
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def born(self, child: "Actor") -> None:
        self.living += 1
        self.most = max(self.most, self.living)
        self.fate = self.fates[min(len(self.starts), len(self.fates) - 1)] if self.fates else Fate()
        self.starts.append(now())
        self.child = child
        self._news.set()
        if self.fate.dies is not None:
            asyncio.get_running_loop().call_later(self.fate.dies, child.dies)

    async def come_up(
        self, _address: ProcessAddress, _launch: LaunchSpec, *, load: float, token: float
    ) -> ServerProps:
        fate = self.fate
        await asyncio.sleep(load if fate.up is None else fate.up)
        if fate.up is None or fate.refused:
            raise StartFailed(f"not ready within {load:g} s")
        return ServerProps(32768, 1)

    async def until(self, true: Callable[["Stage"], object]) -> None:
        """To the next start, or any line of the log, with which it is true."""
        while not true(self):
            self._news.clear()
            await self._news.wait()

    def line(self, line: str) -> None:
        self._news.set()
        self.happened.append((now(), _TOLD.sub("", line, count=1)))

    def when(self, state: str) -> list[float]:
        return [at for at, line in self.happened if line.startswith(state)]

    def states(self) -> list[str]:
        return [line.partition(":")[0].removesuffix(" again") for _, line in self.happened]


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


class Actor:
    """Stands in for `ServerProcess`."""

    stage: Stage
    numbers = itertools.count(1)

    def __init__(
        self,
        _command: Sequence[str],
        _environment: Mapping[str, str],
        log: ProcessLog,
        *,
        grace: float,
        kill: float,
        private: bool,
    ) -> None:
        assert (grace, kill, private) == (5, 5, False)
        self.pid = self.process_group = next(self.numbers)
        self.exit_code: int | None = None
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stage.born(self)
        self._fate = self.stage.fate
        for line in self._fate.says:
            log.add(line)

    def dies(self, code: int = 7) -> None:
        self.stage.died += not self.exited.done()
        self._ended(code)

    async def end(self) -> None:
        if not self.exited.done():
            await asyncio.sleep(self._fate.ending)
            self._ended(0)

    def _ended(self, code: int) -> None:
        if not self.exited.done():
            self.exit_code = code
            self.stage.living -= 1
            self.exited.set_result(None)


async def _settled() -> None:
    await asyncio.sleep(0.5)


def play(
    fates: Sequence[Fate], act: Callable[[Supervisor, Stage], Awaitable[T]]
) -> tuple[Stage, T]:
    """A history of one child."""
    return perform(
        fates,
        lambda stage: act(Supervisor(LaunchSpec("owner/repo", "m"), on_line=stage.line), stage),
    )


def perform(
    fates: Sequence[Fate], act: Callable[[Stage], Awaitable[T]], most: int = 1
) -> tuple[Stage, T]:
    """Whatever starts children, never more than so many at once."""
    stage = Stage(fates)

    async def scene() -> T:
        return await act(stage)

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=Jumping) as runner:
        patch.setattr(Actor, "stage", stage, raising=False)
        patch.setattr(supervisor, "ServerProcess", Actor)
        patch.setattr(supervisor, "wait_ready", stage.come_up)
        patch.setattr(gpu_check, "visible_gpu", lambda: None)
        patch.setattr(pool, "wait_memory_settled", _settled)
        result = runner.run(scene())
        assert stage.most <= most
        return stage, result
