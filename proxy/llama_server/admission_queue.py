"""Queue in front of the KV cache of one process.

Counts prompts when two requests meet, and waits until the engine has dropped a request whose client
has disconnected.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from proxy.errors import BridgeError
from proxy.llama_server.admission import Admission, Capacity, Reservation
from proxy.llama_server.launch import ProcessAddress
from proxy.llama_server.residents import Residents

_FIRST_POLL = 0.25  # seconds; the engine notices a disconnect within one batch
# Seconds. The engine checks for disconnects after a second of silence, and each poll restarts that
# second.
_POLL_INTERVAL = 1.3
_MAX_POLLS = 50
_TIMEOUT = 2.0


class SlotMonitor(Protocol):
    async def at_most(self, busy: int) -> bool:
        """Return whether at most `busy` slots are processing a request.

        Also returns True if the engine cannot be queried.
        """

    async def clear_idle(self) -> None:
        """Make the engine move the content of idle slots from the KV cache to RAM."""


@dataclass(frozen=True)
class EngineSlotMonitor:
    address: Callable[[], ProcessAddress]

    async def at_most(self, busy: int) -> bool:
        try:
            slots = await self._ask("GET", "/slots")
            return sum(bool(slot.get("is_processing")) for slot in slots) <= busy
        except httpx.TimeoutException:
            return False  # it responds between two batches
        except (httpx.HTTPError, ValueError, AttributeError, TypeError):
            return True

    async def clear_idle(self) -> None:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            await self._ask(
                "POST", "/completion", {"prompt": "a", "n_predict": 0, "cache_prompt": False}
            )

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        at = self.address()
        # No TLS on loopback: reading the certificates would only take time.
        async with httpx.AsyncClient(
            base_url=at.url, trust_env=False, verify=False, timeout=_TIMEOUT
        ) as client:
            answer = await client.request(
                method, path, headers={"authorization": f"Bearer {at.key}"}, json=body
            )
            return answer.json()


class AdmissionQueue:
    def __init__(self, slots: SlotMonitor) -> None:
        self._rules = Admission()
        self._residents = Residents()
        self._slots = slots
        self._counting = asyncio.Lock()
        self._polling: set[asyncio.Task[None]] = set()

    async def admit(self, reservation: Reservation, capacity: Capacity) -> None:
        """Wait until the request may start.

        The caller must call `leave` in any case. The prompt of a request that runs alone is not
        counted until the next request arrives.
        """
        self._rules.capacity = capacity
        self._rules.enter(reservation)
        if not reservation.admitted.is_set():
            await self._count(reservation)
            await reservation.admitted.wait()
        if reservation.error is not None:
            raise reservation.error
        if capacity.tokens is not None:
            running = self._others(reservation)
            if self._residents.needs_room(reservation, running, capacity.tokens):
                await self._slots.clear_idle()
            self._residents.record_start(reservation, running)

    def leave(self, reservation: Reservation, *, finished: bool, tokens: int = 0) -> None:
        """Release a reservation.

        If the answer was not finished, the reservation is kept until the engine has stopped working
        on it.
        """
        self._residents.record_answer(reservation.session, tokens)
        if self._rules.leave(reservation, finished=finished):
            task = asyncio.create_task(self._wait_until_free())
            self._polling.add(task)
            task.add_done_callback(self._polling.discard)
            task.add_done_callback(lambda _: self._rules.free(reservation))

    def close(self, error: Exception) -> None:
        """Refuse all waiting requests with `error`."""
        for task in self._polling:
            task.cancel()
        for reservation in self._rules.waiting:
            reservation.error = error
            reservation.admitted.set()

    def waiting_reason(self, reservation: Reservation) -> str | None:
        """Return in one line why the request waits, or None if it does not wait."""
        rules = self._rules
        if reservation not in rules.waiting:
            return None
        before = rules.waiting.index(reservation)
        queue = f", {before} more before it" if before else ""
        running = len(rules.running) + len(rules.ending)
        words = f"waiting for {running} running request{'' if running == 1 else 's'}{queue}"
        if (total := rules.capacity.tokens) is None or (
            needed := reservation.tokens(total)
        ) is None:
            return words
        return (
            f"{words}: {rules.reserved_tokens():,} of {total:,} tokens of context are reserved, "
            f"and it needs {needed:,}"
        )

    async def _count(self, reservation: Reservation) -> None:
        """Count the prompts that are not counted yet.

        Raises ContextOverflow if the request can never fit.
        """
        async with self._counting:
            for one in self._rules.to_count(reservation):
                assert one.count is not None  # otherwise it would reserve the whole cache
                try:
                    one.prompt = await one.count()
                except BridgeError:
                    if one is reservation:
                        raise
                one.uncountable = one.prompt is None
            self._rules.admit()

    def _others(self, reservation: Reservation) -> Sequence[Reservation]:
        return [
            one for one in [*self._rules.running, *self._rules.ending] if one is not reservation
        ]

    async def _wait_until_free(self) -> None:
        """Wait until the engine works on no more requests than are running.

        Gives up after `_MAX_POLLS` polls, because the engine may also serve other clients.
        """
        pause = _FIRST_POLL
        for _ in range(_MAX_POLLS):
            # Requests that start during the wait may not be in a slot yet.
            began = list(self._rules.running)
            await asyncio.sleep(pause)
            others = sum(one.slots for one in began if one in self._rules.running)
            if await self._slots.at_most(others):
                return
            pause = _POLL_INTERVAL
