"""Sharing of one running attempt between all callers that wait for its result."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs `attempt` at most once at a time, and returns its result to every waiting caller.

    The attempt is cancelled only when all of its callers have been cancelled. After a failure,
    callers get the same error for `error_ttl` seconds; then the next caller starts a new attempt.
    """

    def __init__(
        self, attempt: Callable[[], Coroutine[Any, Any, T]], error_ttl: float = 0.0
    ) -> None:
        self._attempt, self._error_ttl = attempt, error_ttl
        self._task: asyncio.Task[T] | None = None
        self._failed_at = float("-inf")  # monotonic time of the last failure
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
                self._task = None  # the next caller starts another attempt

    def start(self) -> None:
        """Start an attempt in the background, or keep the running one until its end."""
        self._waiters += 1
        self._current().add_done_callback(self._release)

    def _release(self, _: asyncio.Task[T]) -> None:
        self._waiters -= 1

    def _current(self) -> asyncio.Task[T]:
        """Return the running attempt, a recently failed one, or a new one."""
        if self._task is None or (
            self._task.done() and time.monotonic() - self._failed_at >= self._error_ttl
        ):
            self._task = asyncio.create_task(self._attempt())
            self._task.add_done_callback(self._end)
        return self._task

    def _end(self, task: asyncio.Task[T]) -> None:
        # Retrieve the exception even if no caller is left, or asyncio logs a warning.
        failed = not task.cancelled() and task.exception() is not None
        self._failed_at = time.monotonic() if failed else float("-inf")
