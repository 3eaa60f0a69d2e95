"""Requests in flight, recently finished requests, and log lines about requests that wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from proxy.completion.request_stats import RequestStats, logger

HISTORY = 50
TICK_INTERVAL = 1.0
REPORT_AFTER = 5.0  # seconds; shorter waits are not reported
REPORT_INTERVAL = 10.0


class InflightRequests:
    def __init__(self, unavailable_reason: Callable[[], str | None]) -> None:
        self.finished: deque[dict[str, Any]] = deque(maxlen=HISTORY)  # newest first
        # Sets the status line of the terminal.
        self.show_line: Callable[[str], None] = lambda _: None
        self._unavailable_reason = unavailable_reason
        self._requests: dict[str, RequestStats] = {}
        self._reported_at: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def start(self, stats: RequestStats) -> None:
        self._requests[stats.id] = stats
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_INTERVAL, self._tick)

    def finish(self, stats: RequestStats) -> None:
        if self._requests.pop(stats.id, None) is not None:
            self._reported_at.pop(stats.id, None)
            self.finished.appendleft(stats.as_dict() | {"ended": round(time.time(), 1)})
        if not self._requests and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.show_line("")

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the requests in flight, the oldest first."""
        return [
            stats.as_dict() | {"waits": self._reason(stats)} for stats in self._requests.values()
        ]

    def waiting_reasons(self) -> list[str]:
        """Return the reasons of all requests that have waited at least `REPORT_AFTER` seconds."""
        now = time.monotonic()
        return [
            reason
            for stats in self._requests.values()
            if now - stats.started_at >= REPORT_AFTER and (reason := self._reason(stats))
        ]

    def waiting_reason(self, id: str) -> str | None:
        return self._reason(self._requests[id]) if id in self._requests else None

    def _reason(self, stats: RequestStats) -> str | None:
        """Return in one line why the request waits, or None if its answer has started."""
        if not stats.is_waiting:
            return None
        now = time.monotonic()
        if (words := stats.waiting_reason()) is not None:
            return words
        if stats.prompt_progress is not None:
            return stats.prompt_progress.describe(now)
        waited = f"{now - stats.started_at:.0f} s"
        if reason := self._unavailable_reason():
            return f"{reason.partition(chr(10))[0]}, waited {waited}"
        return f"no response from the backend for {waited}"

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_INTERVAL, self._tick)
        self.report_waiting()

    def report_waiting(self) -> None:
        """Log requests that wait, and show them in the status line of the terminal."""
        now = time.monotonic()
        for id, stats in self._requests.items():
            if (
                now - stats.started_at >= REPORT_AFTER
                and now - self._reported_at.get(id, 0.0) >= REPORT_INTERVAL
                and (reason := self._reason(stats))
            ):
                self._reported_at[id] = now
                logger.info("%s %s", id, reason, extra={"figures": {"id": id}})
        waiting = self.waiting_reasons()
        others = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
        self.show_line(waiting[0] + others if waiting else "")
