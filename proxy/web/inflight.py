"""Which requests are being answered, the last of those that were, and a word on every one that
waits for long.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from proxy.completion.request_stats import Record, log

KEPT = 50
TICK = 1.0
PATIENT = 5.0  # what nobody has to be told of
TOLD_EVERY = 10.0


class Ledger:
    def __init__(self, not_ready: Callable[[], str | None]) -> None:
        self.last: deque[dict[str, Any]] = deque(maxlen=KEPT)  # the newest first
        self.show: Callable[[str], None] = lambda _: None  # what a terminal shows now, in one line
        self._not_ready = not_ready
        self._live: dict[str, Record] = {}
        self._told: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._live)

    def begins(self, record: Record) -> None:
        self._live[record.id] = record
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def ends(self, record: Record) -> None:
        if self._live.pop(record.id, None) is not None:
            self._told.pop(record.id, None)
            self.last.appendleft(record.figures() | {"ended": round(time.time(), 1)})
        if not self._live and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.show("")

    def live(self) -> list[dict[str, Any]]:
        """The longest first."""
        return [
            record.figures() | {"waits": self._sentence(record)} for record in self._live.values()
        ]

    def waiting(self) -> list[str]:
        """What those are told who wait for more than a moment."""
        now = time.monotonic()
        return [
            sentence
            for record in self._live.values()
            if now - record.began >= PATIENT and (sentence := self._sentence(record))
        ]

    def sentence(self, id: str) -> str | None:
        return self._sentence(self._live[id]) if id in self._live else None

    def _sentence(self, record: Record) -> str | None:
        """One line; None where the answer has begun."""
        if not record.waits:
            return None
        now = time.monotonic()
        if (words := record.waits_for()) is not None:
            return words
        if record.reading is not None:
            return record.reading.sentence(now)
        waited = f"{now - record.began:.0f} s"
        if reason := self._not_ready():
            return f"{reason.partition(chr(10))[0]}, waited {waited}"
        return f"nothing from the backend for {waited}"

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        self.look()

    def look(self) -> None:
        """Once a second while there is anything to look at."""
        now = time.monotonic()
        for id, record in self._live.items():
            if (
                now - record.began >= PATIENT
                and now - self._told.get(id, 0.0) >= TOLD_EVERY
                and (sentence := self._sentence(record))
            ):
                self._told[id] = now
                log.info("%s %s", id, sentence, extra={"figures": {"id": id}})
        waiting = self.waiting()
        others = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
        self.show(waiting[0] + others if waiting else "")
