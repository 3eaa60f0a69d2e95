"""Keeps all models: one supervisor for each, and one task that decides who is loaded.

Requests hold a lease and wait their turn.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from proxy.errors import BridgeError, ModelLoading, ModelNotFound, Stopping
from proxy.llama_server.config.catalog import Catalogue
from proxy.llama_server.config.model_config import Model
from proxy.llama_server.gpu import memory_settled
from proxy.llama_server.lease import Lease
from proxy.llama_server.process.logs import Ring
from proxy.llama_server.process.state import State
from proxy.llama_server.process.supervisor import Supervisor
from proxy.llama_server.process.timeouts import USUAL, Timings
from proxy.llama_server.reload import _process, _taken_out
from proxy.llama_server.scheduler import Rules, Ticket, Turns

logger = logging.getLogger("llama_bridge.child")


class Keeper:
    def __init__(
        self,
        catalogue: Catalogue,
        *,
        timings: Timings = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timings, self._clock = timings, clock
        self.rings: dict[str, Ring] = {}
        self._supervisors: dict[str, Supervisor] = {}
        # Of before a reload; they finish what they began.
        self._retired: list[tuple[str, Supervisor]] = []
        self._turns = Turns(Rules())
        self._leases: dict[Ticket, Lease] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing: asyncio.Task[None] | None = None
        self._closed = True  # until it is opened
        self._take(catalogue)

    # what everybody may ask

    @property
    def open(self) -> bool:
        return not self._closed

    @property
    def coming(self) -> bool:
        """Somebody waits for a model."""
        return bool(self._tasks or self._turns.waiting)

    @property
    def models(self) -> tuple[Model, ...]:
        return self.catalogue.models

    def supervisor(self, name: str) -> Supervisor:
        return self._supervisors[name]

    def named(self, asked: str | None, wanted: str | None = None) -> Model:
        """The model that a name means: its own, an alias, BACKEND_MODEL, the only one, the
        loaded one.
        """
        for name in (asked, wanted):
            for model in self.models:
                if name == model.name or name in model.aliases:
                    return model
        if len(self.models) == 1:
            return self.models[0]
        used = max(self._turns.loaded, key=self._turns.loaded.__getitem__, default=None)
        if used is not None:
            return self._model(used)
        if asked is None:
            return self._model(self.catalogue.default)
        names = ", ".join(sorted(model.name for model in self.models))
        raise ModelNotFound(
            f"there is no model {asked!r}; name one of these or set BACKEND_MODEL: {names}",
            param="model",
        )

    def lease(
        self,
        asked: str | None,
        *,
        wanted: str | None = None,
        side: bool = False,
        tools: bool = False,
        mark: str | None = None,
    ) -> Lease:
        """A side request is answered by the model that somebody works with: a title is not worth
        a swap.
        """
        model = self.named(asked, wanted)
        if (
            side
            and self.catalogue.side_requests == "loaded"
            and model.name not in self._turns.loaded
        ):
            model = self._model(self._turns.in_use(self._clock()) or model.name)
        supervisor = self._supervisors[model.name]
        supervisor.suspects.refuse(mark)
        return Lease(self, model, supervisor, Ticket(model.name, tools), mark)

    def ready_one(self) -> Supervisor | None:
        """The one that was used last, of those that are ready now."""
        ready = [
            name for name in self._turns.loaded if self._supervisors[name].state is State.READY
        ]
        return self._supervisors[max(ready, key=self._turns.loaded.__getitem__)] if ready else None

    async def news(self) -> None:
        """Return when a process changes its state, or a request comes or goes."""
        events = [self._changed, *(supervisor.changed for supervisor in self._supervisors.values())]
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def opened(self) -> None:
        """When what is loaded at the start has come up, or failed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._closed = False
        self._changed = asyncio.Event()
        self._main = asyncio.create_task(self._decide())
        first = [model.name for model in self.models if model.preload] or [self.catalogue.default]
        for name in first:
            self._load(name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        tasks = [self._main, *self._tasks, *([self._changing] if self._changing else [])]
        for task in tasks:
            task.cancel()
        for ticket in list(self._turns.waiting):
            self._turns.refuse(ticket.model, Stopping("This proxy is shutting down."))
        supervisors = [*self._supervisors.values(), *(old for _, old in self._retired)]
        await asyncio.gather(*(supervisor.close() for supervisor in supervisors))
        await asyncio.gather(*tasks, return_exceptions=True)

    def reload(self, catalogue: Catalogue) -> list[str]:
        """Apply a new configuration and return what it changed: models by name, and keys for all
        models.

        A model whose process stays the same keeps running and answering; the others finish what
        they began.
        """
        changed = self.catalogue.changes(catalogue)
        before = {model.name: model for model in self.models}
        after = {model.name: model for model in catalogue.models}
        touched = [
            name
            for name in before | after
            if _process(before.get(name)) != _process(after.get(name))
        ]
        again = [name for name in touched if name in self._turns.loaded and name in after]
        for name in touched:
            if name in before:
                self._retire(name)
            if name not in after:
                self._turns.refuse(name, _taken_out(name))
        self._take(catalogue)
        for ticket in self._turns.waiting:
            self._seat(self._leases[ticket], ticket.model)
        self._changed.set()
        for name in again:
            self._load(name)
        return changed

    # what leases do

    def enter(self, ticket: Ticket, lease: Lease) -> None:
        if self._closed:
            raise Stopping("This proxy is shutting down.")
        if ticket.model not in self._supervisors:
            raise _taken_out(ticket.model)
        self._seat(lease, ticket.model)  # since it was made there may have been a reload
        self._turns.waiting.append(ticket)
        self._leases[ticket] = lease
        self._turns.admit()
        self._changed.set()

    def leave(self, ticket: Ticket) -> None:
        self._turns.left(ticket, self._clock())
        self._leases.pop(ticket, None)
        self._changed.set()

    # the one task that decides

    async def _decide(self) -> None:
        while True:
            self._changed.clear()
            self._turns.admit()
            if self._changing is None or self._changing.done():
                self._changing = self._next_change()
            later = self._next_idle() if self._changing is None else None
            try:
                async with asyncio.timeout(later):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _next_change(self) -> asyncio.Task[None] | None:
        gone = next(
            ((name, old) for name, old in self._retired if not self._turns.busy(name)), None
        )
        if gone is not None:
            return self._background(self._end_retired(*gone))
        if self._retired:
            return None  # what still answers holds the memory that the next one needs
        change = self._turns.next_change()
        if change is None:
            return None
        if self._supervisors[change.into].gave_up:
            # It says why; nobody has to go for that.
            return self._background(self._come(change.into))
        return self._background(self._swap(self._withdraw(change.out), change.into))

    def _next_idle(self) -> float | None:
        tired, later = self._turns.idle(self._clock(), lambda name: self._model(name).idle_unload)
        if tired:
            self._changing = self._background(self._stop(self._withdraw(tired)))
        return None if tired else later

    def _background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._changed.set())
        return task

    def _withdraw(self, names: Sequence[str]) -> list[Supervisor]:
        """Admit no request to these models from now on.

        Return their supervisors, which are still to be stopped.

        It takes effect in the same step as the decision: a request that comes later waits until the
        model is loaded again.
        """
        for name in names:
            self._turns.went(name)
        return [self._supervisors[name] for name in names]

    async def _swap(self, out: Sequence[Supervisor], into: str) -> None:
        await self._stop(out)
        await self._come(into)

    async def _stop(self, supervisors: Sequence[Supervisor]) -> None:
        await asyncio.gather(*(supervisor.stop() for supervisor in supervisors))
        if supervisors:
            await memory_settled()

    async def _end_retired(self, name: str, old: Supervisor) -> None:
        await old.close()
        await memory_settled()
        self._retired.remove((name, old))

    async def _come(self, name: str) -> None:
        supervisor, failure = self._supervisors.get(name), None
        try:
            if supervisor is not None:
                await supervisor.ensure_ready()
        except BridgeError as error:
            failure = error
        if supervisor is None or self._supervisors.get(name) is not supervisor:
            return  # a reload came first: who still wants the model waits for the new one
        if failure is not None:
            self._turns.refuse(name, failure)
        # That is still on its way, and its place is taken.
        if failure is None or isinstance(failure, ModelLoading):
            self._turns.came(name, self._clock())

    # our own

    def _seat(self, lease: Lease, name: str) -> None:
        lease.model, lease.supervisor = self._model(name), self._supervisors[name]

    def _retire(self, name: str) -> None:
        old = self._supervisors.pop(name)
        self._retired.append((name, old))
        self._turns.went(name)
        if not self._turns.busy(name):  # nor need anybody wait until it has loaded
            self._keep(asyncio.create_task(old.close()))

    def _take(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        by_name = {model.name: model for model in catalogue.models}
        self._turns.rules = Rules(
            catalogue.models_max,
            lambda name: by_name[name].together,
            lambda name: by_name[name].preload,
        )
        for model in catalogue.models:
            ring = self.rings.setdefault(model.name, Ring())
            if model.name not in self._supervisors:
                self._supervisors[model.name] = Supervisor(
                    model.launch,
                    on_line=ring.add,
                    timings=self._timings,
                    busy=partial(self._busy, model.name),
                    require_gpu=model.require_gpu,
                    clock=self._clock,
                )

    def _model(self, name: str) -> Model:
        return next(model for model in self.models if model.name == name)

    def _load(self, name: str) -> None:
        self._keep(asyncio.create_task(self._come_up(name)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _come_up(self, name: str) -> None:
        lease = self.lease(name)
        try:
            await lease.load()
        except BridgeError as error:
            logger.error("%s", error.message)
        finally:
            lease.leave()

    def _busy(self, name: str) -> bool:
        return self._turns.busy(name)
