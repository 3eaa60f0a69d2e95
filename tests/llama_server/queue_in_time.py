"""The admission queue in virtual time, in front of an engine that does what a test needs."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from proxy.llama_server.admission import Capacity, Reservation
from proxy.llama_server.admission_queue import AdmissionQueue
from tests.llama_server.in_time import Jumping, now

T = TypeVar("T")
TOTAL = 1000
SHARED = Capacity(TOTAL, 2)


def play(scene: Callable[["Engine"], Coroutine[Any, Any, T]]) -> T:
    async def act() -> T:
        return await scene(Engine())

    with asyncio.Runner(loop_factory=Jumping) as runner:
        return runner.run(act())


@dataclass
class Engine:
    """An engine that notices after `notices` seconds that a client has left."""

    notices: float = 0.0
    working: dict[Reservation, float] = field(default_factory=dict)  # until when
    counted: list[str] = field(default_factory=list)
    cleared: int = 0
    looks: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.queue = AdmissionQueue(self)

    async def at_most(self, busy: int) -> bool:
        self.looks += 1
        return sum(until > now() for until in self.working.values()) <= busy

    async def clear_idle(self) -> None:
        self.cleared += 1

    def asked(
        self,
        name: str,
        prompt: int | Exception | None,
        output: int | None = 0,
        *,
        takes: float = 0.0,
        tools: bool = False,
    ) -> Reservation:
        async def count() -> int | None:
            await asyncio.sleep(takes)
            self.counted.append(name)
            if isinstance(prompt, Exception):
                raise prompt
            return prompt

        return Reservation(count, output, tools, session=name)

    async def answer(
        self, reservation: Reservation, lasts: float, capacity: Capacity = SHARED
    ) -> float:
        """One request from its arrival to its answer; return when it started."""
        finished = False
        try:
            await self.queue.admit(reservation, capacity)
            began = now()
            self.working[reservation] = began + lasts
            self.most = max(self.most, sum(until > now() for until in self.working.values()))
            await asyncio.sleep(lasts)
            finished = True
            return began
        finally:
            if reservation in self.working:
                self.working[reservation] = now() if finished else now() + self.notices
            self.queue.leave(reservation, finished=finished)

    def is_empty(self) -> bool:
        rules = self.queue._rules
        return not (rules.waiting or rules.running or rules.ending)
