"""Which request crashes the engine? A suspect runs alone until it is cleared or convicted.

1. A process that a signal from outside ended, or that ended in order, says nothing about its
   requests.
2. A crash makes every request that was in flight a suspect.
3. A suspect is in flight alone. If its answer comes whole, it is cleared. If the engine crashes
   again, that counts.
4. A request that was alone at two crashes is refused for ten minutes.

5. A request that leaves without an answer counts as in flight for a moment longer: its connection
   breaks before the exit of the process is noticed, and the engine may still work on it. The next
   one must not be blamed.

A request that crashes the engine every time is thus found after three crashes at most: one in a
crowd, two alone. No request is refused because of another one. Requests are identified by `mark`,
which a repeated request has in common with the first; a request without a mark is never suspected,
but it counts as company.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.errors import KillsModel

REMEMBERED = 600.0  # seconds after the last crash
_FATAL = 2  # crashes while it ran alone
_SETTLES = 5.0  # seconds after a request left without an answer


@dataclass(eq=False, slots=True)
class Run:
    """One request that an engine processes, or that waits until it may."""

    mark: str | None
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0  # tasks of this request: it may ask for its address in several at once
    entered: bool = False  # one of them got it


@dataclass(slots=True)
class _Case:
    alone: int  # crashes while it ran alone
    at: float  # the last crash


class Suspects:
    """The requests in flight at one supervisor's engine, and those that may not run beside
    others.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._cases: dict[str, _Case] = {}
        self._in_flight: set[Run] = set()
        self._waiting: deque[Run] = deque()

    def refuse(self, mark: str | None) -> None:
        """Raise KillsModel if `mark` is convicted."""
        case = self._case(mark)
        if case is not None and case.alone >= _FATAL:
            raise KillsModel(
                f"the model server crashed {case.alone} times while this was its only request. "
                f"GET /logs shows why."
            )

    async def enter(self, run: Run) -> None:
        """Wait until `run` may be sent to the engine, first come first served.

        Returns immediately if it is in flight already. Raises KillsModel if it was convicted, also
        while it waited.
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
            self.refuse(run.mark)
            run.entered = True
        finally:
            run.waiters -= 1
            if run.waiters == 0 and not run.entered:  # it was never sent
                self._remove(run)

    def leave(self, run: Run) -> None:
        """The request has ended, and not with a whole answer."""
        if run in self._in_flight:
            asyncio.get_running_loop().call_later(_SETTLES, self._remove, run)
        else:
            self._remove(run)

    def finished(self, run: Run) -> None:
        """Its answer came whole: it is cleared."""
        self._cases.pop(run.mark or "", None)
        self._remove(run)

    def process_ended(self, *, crashed: bool) -> None:
        """The engine's process has ended, and with it all that was in flight.

        Each request that goes on must `enter` again.
        """
        runs, self._in_flight = self._in_flight, set()
        if crashed:
            now = self._clock()
            self._cases = {
                mark: case for mark, case in self._cases.items() if now - case.at < REMEMBERED
            }
            for mark in {run.mark for run in runs if run.mark is not None}:
                case = self._cases.setdefault(mark, _Case(0, now))
                case.alone += len(runs) == 1
                case.at = now
        self._admit()

    def _case(self, mark: str | None) -> _Case | None:
        case = self._cases.get(mark or "")
        return case if case is not None and self._clock() - case.at < REMEMBERED else None

    def _remove(self, run: Run) -> None:
        if run in self._waiting:
            self._waiting.remove(run)
        self._in_flight.discard(run)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._may_run(self._waiting[0]):
            run = self._waiting.popleft()
            self._in_flight.add(run)
            run.admitted.set()

    def _may_run(self, run: Run) -> bool:
        if self._case(run.mark) is not None:
            return not self._in_flight
        return not any(self._case(other.mark) is not None for other in self._in_flight)
