"""One attempt for all that wait for its outcome."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs `attempt` at most once at a time, however many wait for it.

    A caller that is cancelled does not cancel it for the others; when the last one has left, it
    ends too. An error holds for `held` seconds: who comes in that time gets it too. Otherwise the
    next caller starts the next attempt.
    """

    def __init__(
        self, attempt: Callable[[], Coroutine[Any, Any, T]], error_ttl: float = 0.0
    ) -> None:
        self._attempt, self._error_ttl = attempt, error_ttl
        self._task: asyncio.Task[T] | None = None
        self._failed_at = float("-inf")  # when, where the last attempt did
        self._waiters = 0

    async def result(self) -> T:
        task = self._current()
        self._waiters += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiters -= 1
            if self._waiters == 0 and not task.done():
                task.cancel()
                self._task = None  # who comes now starts another one

    def start(self) -> None:
        """Let an attempt run to its end, whether anyone waits for it or not."""
        self._waiters += 1
        self._current().add_done_callback(self._release)

    def _release(self, _: asyncio.Task[T]) -> None:
        self._waiters -= 1

    def _current(self) -> asyncio.Task[T]:
        """Return the attempt that runs, or the last one while its error holds, or a new one."""
        if self._task is None or (
            self._task.done() and time.monotonic() - self._failed_at >= self._error_ttl
        ):
            self._task = asyncio.create_task(self._attempt())
            self._task.add_done_callback(self._end)
        return self._task

    def _end(self, task: asyncio.Task[T]) -> None:
        # Retrieved, also when everyone who waited has left.
        failed = not task.cancelled() and task.exception() is not None
        self._failed_at = time.monotonic() if failed else float("-inf")
