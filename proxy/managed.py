"""Provider for managed llama-server processes: each request leases the process of its model."""

import asyncio
from dataclasses import dataclass
from typing import Any

from proxy.backends.address import BackendAddress
from proxy.backends.models import ModelInfo
from proxy.backends.provider import ContextClaim, Provider, RouteRequest, ServerLog
from proxy.errors import ChildFailed, ModelLoading, ModelUnloaded, ShuttingDown
from proxy.llama_server import Lease, ModelPool, ProcessState, Supervisor
from proxy.llama_server import ProcessAddress as ReadyAt
from proxy.llama_server.admission import Reservation
from proxy.llama_server.process.state import describe


@dataclass(frozen=True)
class ManagedProvider:
    """Provider for the managed models.

    A request without a lease (such as `GET /health`) uses a process that is ready, and never loads
    a model.
    """

    pool: ModelPool
    default_model: str | None = None  # BACKEND_MODEL

    async def address(self) -> BackendAddress:
        """Return the address of a ready process.

        Waits for a process that is starting; raises ModelUnloaded if there is none.
        """
        try:
            async with asyncio.timeout(self._representative.timeouts.wait):
                while (ready := self.pool.ready_supervisor()) is None:
                    self._check_loading()
                    await self.pool.wait_change()
        except TimeoutError:
            raise ModelLoading(str(self.unavailable_reason())) from None
        return _api_address(ready.address)

    def _check_loading(self) -> None:
        if not self.pool.is_open:
            raise ShuttingDown("this proxy is shutting down")
        states = {self.pool.supervisor(model.name).state for model in self.pool.models}
        if self.pool.is_loading or states & {ProcessState.STARTING, ProcessState.BACKOFF}:
            return
        if ProcessState.FAILED in states:
            raise ChildFailed(
                f"{self.unavailable_reason()}; a GET does not load a model, "
                "the next chat request tries again"
            )
        raise ModelUnloaded(
            "no model is loaded, and a GET does not load one; "
            f"the next chat request loads {self.model()}"
        )

    # Only a lease can wait for a slot: see ManagedLease.
    async def admit(self, claim: ContextClaim) -> None:  # noqa: ARG002
        return None

    def waiting_reason(self) -> str | None:
        return None

    async def failover(self, refused: BackendAddress) -> BackendAddress | None:
        await self._representative.wait_exit_noticed(refused.root)
        return await self.address()

    async def wait_for_restart(self) -> bool:
        return False  # only a lease can wait: see ManagedLease

    def unavailable_reason(self) -> str | None:
        representative = self._representative
        if representative.state is ProcessState.READY or self.is_unloaded():
            return None
        state = (
            ProcessState.STARTING
            if representative.state is ProcessState.STOPPED and self.pool.is_loading
            else representative.state
        )
        return f"our llama-server {describe(state, representative.reason)}"

    def is_unloaded(self) -> bool:
        stopped = all(
            self.pool.supervisor(model.name).state is ProcessState.STOPPED
            for model in self.pool.models
        )
        return stopped and self.pool.is_open and not self.pool.is_loading

    def device(self) -> str | None:
        return self._representative.engine_info.runs_on

    def report_success(self, prompt: int = 0, cached: int = 0) -> None:
        self._representative.record_answer(prompt, cached)

    def acquire(self, route: RouteRequest) -> Provider:
        lease = self.pool.lease(
            route.model,
            default=self.default_model,
            auxiliary=route.auxiliary,
            tools=route.tools,
            fingerprint=route.fingerprint,
        )
        return ManagedLease(self, lease)

    def release(self) -> None:
        return None

    def model(self) -> str | None:
        return self.pool.resolve(None, self.default_model).name

    def dialect(self) -> str | None:
        return None

    def log(self) -> ServerLog:
        return self._representative.log

    def models(self) -> list[ModelInfo]:
        representative: list[ModelInfo] = []
        for model in self.pool.models:
            context = self.pool.supervisor(model.name).engine_info.context or model.context
            representative.append(
                ModelInfo(model.name, owned_by="llamacpp", context=context, aliases=model.aliases)
            )
        return representative

    def details(self) -> list[dict[str, Any]]:
        return [self._details(model.name, model.context) for model in self.pool.models]

    def _details(self, name: str, context: int | None) -> dict[str, Any]:
        supervisor = self.pool.supervisor(name)
        facts, ready = supervisor.engine_info, supervisor.state is ProcessState.READY
        details: dict[str, Any] = {
            "id": name,
            "state": supervisor.state.value,
            "reason": supervisor.reason or None,
        }
        details["context"] = facts.context or context
        if ready:
            layers = (
                None
                if facts.layers is None
                else {"offloaded": facts.offloaded, "all": facts.layers}
            )
            details |= {"device": facts.runs_on, "layers": layers, "slots": facts.slots}
            details |= {
                "memory_mib": round(facts.memory) or None,
                "gpu_memory_mib": round(facts.gpu_memory) or None,
            }
            problem = supervisor.gpu_problem
            details |= {
                "warning": str(problem) if problem else None,
                "cure": problem.command if problem else None,
            }
        return details

    @property
    def _representative(self) -> Supervisor:
        """Return the supervisor whose state is reported for the whole pool.

        This is the one that is ready, else one that is not stopped (the default model's first),
        else the default model's.
        """
        ready = self.pool.ready_supervisor()
        if ready is not None:
            return ready
        all_of_them = [self.pool.supervisor(model.name) for model in self.pool.models]
        default = self.pool.supervisor(self.pool.resolve(None, self.default_model).name)
        return next(
            (one for one in [default, *all_of_them] if one.state is not ProcessState.STOPPED),
            default,
        )


@dataclass(frozen=True)
class ManagedLease:
    """Provider for one request, which holds a lease on a managed model until `release`."""

    provider: ManagedProvider
    lease: Lease

    async def address(self) -> BackendAddress:
        return _api_address(await self.lease.ready())

    async def admit(self, claim: ContextClaim) -> None:
        await self.lease.admit(
            Reservation(claim.count, claim.output, claim.tools, claim.choices, claim.session)
        )

    def waiting_reason(self) -> str | None:
        return self.lease.waiting_reason

    async def failover(self, refused: BackendAddress) -> BackendAddress | None:
        return _api_address(await self.lease.await_replacement(refused.root))

    async def wait_for_restart(self) -> bool:
        await self.lease.wait_for_restart()
        return True

    def unavailable_reason(self) -> str | None:
        return self.provider.unavailable_reason()

    def is_unloaded(self) -> bool:
        return self.provider.is_unloaded()

    def device(self) -> str | None:
        return self.lease.supervisor.engine_info.runs_on

    def report_success(self, prompt: int = 0, cached: int = 0) -> None:
        self.lease.record_answer(prompt, cached)

    def acquire(self, route: RouteRequest) -> Provider:
        return self.provider.acquire(route)

    def release(self) -> None:
        self.lease.release()

    def model(self) -> str | None:
        return self.lease.model.name

    def dialect(self) -> str | None:
        return self.lease.model.dialect

    def log(self) -> ServerLog:
        return self.lease.supervisor.log

    def models(self) -> list[ModelInfo]:
        return self.provider.models()

    def details(self) -> list[dict[str, Any]]:
        return self.provider.details()


def _api_address(ready: ReadyAt) -> BackendAddress:
    return BackendAddress(ready.url + "/v1", ready.key)
