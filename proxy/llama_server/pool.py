"""Pool of models: one supervisor per model, and one task that decides which models are loaded.

Each request holds a lease and waits for its turn.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from proxy.errors import BridgeError, ModelLoading, ModelNotFound, ShuttingDown
from proxy.llama_server.config.catalog import Catalog
from proxy.llama_server.config.model_config import ModelConfig
from proxy.llama_server.gpu import wait_memory_settled
from proxy.llama_server.lease import Lease
from proxy.llama_server.process.logs import LogRing
from proxy.llama_server.process.state import ProcessState
from proxy.llama_server.process.supervisor import Supervisor
from proxy.llama_server.process.timeouts import DEFAULT, Timeouts
from proxy.llama_server.reload import process_identity, removed_error
from proxy.llama_server.scheduler import Rules, Scheduler, Ticket

logger = logging.getLogger("llama_bridge.child")


class ModelPool:
    def __init__(
        self,
        catalog: Catalog,
        *,
        timeouts: Timeouts = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeouts, self._clock = timeouts, clock
        self.log_rings: dict[str, LogRing] = {}
        self._supervisors: dict[str, Supervisor] = {}
        # Supervisors from before a reload; they finish their requests.
        self._retired: list[tuple[str, Supervisor]] = []
        self._scheduler = Scheduler(Rules())
        self._leases: dict[Ticket, Lease] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._swapping: asyncio.Task[None] | None = None
        self._closed = True  # until it is entered
        self._apply_catalog(catalog)

    # Public interface.

    @property
    def is_open(self) -> bool:
        return not self._closed

    @property
    def is_loading(self) -> bool:
        """Return whether a request waits for a model, or a preload is in progress."""
        return bool(self._tasks or self._scheduler.waiting)

    @property
    def models(self) -> tuple[ModelConfig, ...]:
        return self.catalog.models

    def supervisor(self, name: str) -> Supervisor:
        return self._supervisors[name]

    def resolve(self, requested: str | None, default: str | None = None) -> ModelConfig:
        """Return the model that a request for `requested` uses.

        In this order: the model with that name or alias, the model named `default`, the only
        model, the last used one that is loaded, and the catalog's default if no name was given.
        """
        for name in (requested, default):
            for model in self.models:
                if name == model.name or name in model.aliases:
                    return model
        if len(self.models) == 1:
            return self.models[0]
        last_used = max(
            self._scheduler.loaded, key=self._scheduler.loaded.__getitem__, default=None
        )
        if last_used is not None:
            return self._model(last_used)
        if requested is None:
            return self._model(self.catalog.default)
        names = ", ".join(sorted(model.name for model in self.models))
        raise ModelNotFound(
            f"unknown model {requested!r}; use one of these, or set BACKEND_MODEL to one: {names}",
            param="model",
        )

    def lease(
        self,
        requested: str | None,
        *,
        default: str | None = None,
        auxiliary: bool = False,
        tools: bool = False,
        fingerprint: str | None = None,
    ) -> Lease:
        """Return a lease on the requested model.

        An auxiliary request, such as a title, uses the model that is in use instead of causing a
        swap.
        """
        model = self.resolve(requested, default)
        if (
            auxiliary
            and self.catalog.side_requests == "loaded"
            and model.name not in self._scheduler.loaded
        ):
            model = self._model(self._scheduler.active_model(self._clock()) or model.name)
        supervisor = self._supervisors[model.name]
        supervisor.suspects.check(fingerprint)
        return Lease(self, model, supervisor, Ticket(model.name, tools), fingerprint)

    def ready_supervisor(self) -> Supervisor | None:
        """Return the most recently used supervisor that is ready."""
        ready = [
            name
            for name in self._scheduler.loaded
            if self._supervisors[name].state is ProcessState.READY
        ]
        return (
            self._supervisors[max(ready, key=self._scheduler.loaded.__getitem__)] if ready else None
        )

    async def wait_change(self) -> None:
        """Wait until a process changes its state, or a request arrives or leaves."""
        events = [self._changed, *(supervisor.changed for supervisor in self._supervisors.values())]
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def wait_loaded(self) -> None:
        """Wait until the preloaded models are ready or have failed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._closed = False
        self._changed = asyncio.Event()
        self._main = asyncio.create_task(self._decide())
        first = [model.name for model in self.models if model.preload] or [self.catalog.default]
        for name in first:
            self._start_preload(name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        tasks = [self._main, *self._tasks, *([self._swapping] if self._swapping else [])]
        for task in tasks:
            task.cancel()
        for ticket in list(self._scheduler.waiting):
            self._scheduler.fail_waiting(ticket.model, ShuttingDown("this proxy is shutting down"))
        supervisors = [*self._supervisors.values(), *(old for _, old in self._retired)]
        await asyncio.gather(*(supervisor.close() for supervisor in supervisors))
        await asyncio.gather(*tasks, return_exceptions=True)

    def reload(self, catalog: Catalog) -> list[str]:
        """Apply a new configuration, and return what changed: names of models, and global keys.

        A model whose process stays the same keeps running; the others finish their requests first.
        """
        changed = self.catalog.changes(catalog)
        before = {model.name: model for model in self.models}
        after = {model.name: model for model in catalog.models}
        touched = [
            name
            for name in before | after
            if process_identity(before.get(name)) != process_identity(after.get(name))
        ]
        to_load = [name for name in touched if name in self._scheduler.loaded and name in after]
        for name in touched:
            if name in before:
                self._retire(name)
            if name not in after:
                self._scheduler.fail_waiting(name, removed_error(name))
        self._apply_catalog(catalog)
        for ticket in self._scheduler.waiting:
            self._assign(self._leases[ticket], ticket.model)
        self._changed.set()
        for name in to_load:
            self._start_preload(name)
        return changed

    # Interface for leases (`TicketQueue`).

    def enter(self, ticket: Ticket, lease: Lease) -> None:
        if self._closed:
            raise ShuttingDown("this proxy is shutting down")
        if ticket.model not in self._supervisors:
            raise removed_error(ticket.model)
        self._assign(lease, ticket.model)  # there may have been a reload since the lease was made
        self._scheduler.waiting.append(ticket)
        self._leases[ticket] = lease
        self._scheduler.admit()
        self._changed.set()

    def leave(self, ticket: Ticket) -> None:
        self._scheduler.finish(ticket, self._clock())
        self._leases.pop(ticket, None)
        self._changed.set()

    # The task that decides which models are loaded.

    async def _decide(self) -> None:
        while True:
            self._changed.clear()
            self._scheduler.admit()
            if self._swapping is None or self._swapping.done():
                self._swapping = self._next_swap()
            later = self._next_idle() if self._swapping is None else None
            try:
                async with asyncio.timeout(later):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _next_swap(self) -> asyncio.Task[None] | None:
        retired = next(
            ((name, old) for name, old in self._retired if not self._scheduler.is_busy(name)), None
        )
        if retired is not None:
            return self._background(self._close_retired(*retired))
        if self._retired:
            return None  # a retired process that still answers holds the memory for the next one
        swap = self._scheduler.next_swap()
        if swap is None:
            return None
        if self._supervisors[swap.load].is_failed:
            # `ensure_ready` raises the reason; no model has to be evicted for that.
            return self._background(self._bring_up(swap.load))
        return self._background(self._swap(self._withdraw(swap.evict), swap.load))

    def _next_idle(self) -> float | None:
        idle, later = self._scheduler.idle_models(
            self._clock(), lambda name: self._model(name).idle_unload
        )
        if idle:
            self._swapping = self._background(self._stop(self._withdraw(idle)))
        return None if idle else later

    def _background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._changed.set())
        return task

    def _withdraw(self, names: Sequence[str]) -> list[Supervisor]:
        """Mark the models as unloaded, and return their supervisors, which must then be stopped.

        This happens in the same step as the decision, so a later request waits until its model is
        loaded again.
        """
        for name in names:
            self._scheduler.mark_unloaded(name)
        return [self._supervisors[name] for name in names]

    async def _swap(self, evict: Sequence[Supervisor], load: str) -> None:
        await self._stop(evict)
        await self._bring_up(load)

    async def _stop(self, supervisors: Sequence[Supervisor]) -> None:
        await asyncio.gather(*(supervisor.stop() for supervisor in supervisors))
        if supervisors:
            await wait_memory_settled()

    async def _close_retired(self, name: str, old: Supervisor) -> None:
        await old.close()
        await wait_memory_settled()
        self._retired.remove((name, old))

    async def _bring_up(self, name: str) -> None:
        supervisor, failure = self._supervisors.get(name), None
        try:
            if supervisor is not None:
                await supervisor.ensure_ready()
        except BridgeError as error:
            failure = error
        if supervisor is None or self._supervisors.get(name) is not supervisor:
            return  # a reload came first; waiting requests get the new process
        if failure is not None:
            self._scheduler.fail_waiting(name, failure)
        # A model that is still loading occupies its place as well.
        if failure is None or isinstance(failure, ModelLoading):
            self._scheduler.mark_loaded(name, self._clock())

    # Internals.

    def _assign(self, lease: Lease, name: str) -> None:
        lease.model, lease.supervisor = self._model(name), self._supervisors[name]

    def _retire(self, name: str) -> None:
        old = self._supervisors.pop(name)
        self._retired.append((name, old))
        self._scheduler.mark_unloaded(name)
        if not self._scheduler.is_busy(name):  # and no request has to wait until it has loaded
            self._track(asyncio.create_task(old.close()))

    def _apply_catalog(self, catalog: Catalog) -> None:
        self.catalog = catalog
        by_name = {model.name: model for model in catalog.models}
        self._scheduler.rules = Rules(
            catalog.models_max,
            lambda name: by_name[name].group_key,
            lambda name: by_name[name].preload,
        )
        for model in catalog.models:
            ring = self.log_rings.setdefault(model.name, LogRing())
            if model.name not in self._supervisors:
                self._supervisors[model.name] = Supervisor(
                    model.launch,
                    on_line=ring.add,
                    timeouts=self._timeouts,
                    busy=partial(self._is_busy, model.name),
                    require_gpu=model.require_gpu,
                    clock=self._clock,
                )

    def _model(self, name: str) -> ModelConfig:
        return next(model for model in self.models if model.name == name)

    def _start_preload(self, name: str) -> None:
        self._track(asyncio.create_task(self._preload(name)))

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _preload(self, name: str) -> None:
        lease = self.lease(name)
        try:
            await lease.load()
        except BridgeError as error:
            logger.error("%s", error.message)
        finally:
            lease.release()

    def _is_busy(self, name: str) -> bool:
        return self._scheduler.is_busy(name)
