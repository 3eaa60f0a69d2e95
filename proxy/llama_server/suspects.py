"""Detection of requests that crash the engine.

A request is identified by its fingerprint, which stays the same when the client repeats it; a
request without a fingerprint is never suspected. The rules:

1. A process that was ended by a signal from outside, or that exited normally, says nothing about
   its requests.
2. A crash makes every request in flight a suspect.
3. A suspect runs alone. It is cleared when its answer completes; another crash counts against it.
4. A request that ran alone at two crashes is refused for ten minutes.
5. A request that ends without an answer counts as in flight for some more seconds, because the
   engine may still work on it, and the next request must not be blamed for its crash.

So a request that always crashes the engine is found after at most three crashes: one beside other
requests, two alone. No request is refused because of another one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.errors import CrashesModel

MEMORY_SECONDS = 600.0  # how long a suspect is remembered after its last crash
_CONVICTING_CRASHES = 2  # crashes while it ran alone
_SETTLE_SECONDS = 5.0  # how long a request without an answer still counts as in flight


@dataclass(eq=False, slots=True)
class SuspectRun:
    """One request that is in flight at the engine or waits to be sent."""

    fingerprint: str | None
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0  # tasks of this request that ask for the address at the same time
    entered: bool = False  # one of the tasks got the address


@dataclass(slots=True)
class _CrashRecord:
    crashes_alone: int  # crashes while it ran alone
    last_crash: float  # time of the last crash


class CrashSuspects:
    """Requests in flight at one supervisor, and the suspects among them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: dict[str, _CrashRecord] = {}
        self._in_flight: set[SuspectRun] = set()
        self._waiting: deque[SuspectRun] = deque()

    def check(self, fingerprint: str | None) -> None:
        """Raise CrashesModel if `fingerprint` is convicted."""
        record = self._record_for(fingerprint)
        if record is not None and record.crashes_alone >= _CONVICTING_CRASHES:
            raise CrashesModel(
                f"llama-server crashed {record.crashes_alone} times on this request alone; "
                f"see `llama-bridge logs` for the reason"
            )

    async def enter(self, run: SuspectRun) -> None:
        """Wait until `run` may be sent to the engine, in order of arrival.

        Returns immediately if it is in flight already. Raises CrashesModel if it is or becomes
        convicted.
        """
        if run in self._in_flight:
            return
        if run.waiters == 0:
            run.admitted, run.entered = asyncio.Event(), False
            self._waiting.append(run)
            self._admit()
        run.waiters += 1
        try:
            await run.admitted.wait()
            self.check(run.fingerprint)
            run.entered = True
        finally:
            run.waiters -= 1
            if run.waiters == 0 and not run.entered:  # it was never sent
                self._remove(run)

    def leave(self, run: SuspectRun) -> None:
        """Record that the request has ended without a complete answer."""
        if run in self._in_flight:
            asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._remove, run)
        else:
            self._remove(run)

    def clear(self, run: SuspectRun) -> None:
        """Clear a request of suspicion after a complete answer."""
        self._records.pop(run.fingerprint or "", None)
        self._remove(run)

    def process_ended(self, *, crashed: bool) -> None:
        """Record that the process has ended.

        Requests that are still needed must `enter` again.
        """
        runs, self._in_flight = self._in_flight, set()
        if crashed:
            now = self._clock()
            self._records = {
                fingerprint: record
                for fingerprint, record in self._records.items()
                if now - record.last_crash < MEMORY_SECONDS
            }
            for fingerprint in {run.fingerprint for run in runs if run.fingerprint is not None}:
                record = self._records.setdefault(fingerprint, _CrashRecord(0, now))
                record.crashes_alone += len(runs) == 1
                record.last_crash = now
        self._admit()

    def _record_for(self, fingerprint: str | None) -> _CrashRecord | None:
        record = self._records.get(fingerprint or "")
        return (
            record
            if record is not None and self._clock() - record.last_crash < MEMORY_SECONDS
            else None
        )

    def _remove(self, run: SuspectRun) -> None:
        if run in self._waiting:
            self._waiting.remove(run)
        self._in_flight.discard(run)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._may_run(self._waiting[0]):
            run = self._waiting.popleft()
            self._in_flight.add(run)
            run.admitted.set()

    def _may_run(self, run: SuspectRun) -> bool:
        if self._record_for(run.fingerprint) is not None:
            return not self._in_flight
        return not any(self._record_for(other.fingerprint) is not None for other in self._in_flight)
