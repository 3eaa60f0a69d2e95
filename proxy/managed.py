"""Our own children as the place where a backend is: each request gets the child of its model,
when its turn has come.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from proxy.backends.address import Address
from proxy.backends.models import Model
from proxy.backends.provider import Claim, Place, ServerLog, Wish
from proxy.errors import ChildFailed, ModelLoading, ModelUnloaded, Stopping
from proxy.llama_server import Address as ReadyAt
from proxy.llama_server import Keeper, Lease, State, Supervisor
from proxy.llama_server.admission import Reservation
from proxy.llama_server.process.state import told


@dataclass(frozen=True)
class OwnModels:
    """All of them.

    A request without a seat only looks: it gets the child that is ready, and loads none.
    """

    keeper: Keeper
    wanted: str | None = None  # BACKEND_MODEL

    async def address(self) -> Address:
        """Return the address of the ready child.

        Waits for one that is on its way; ModelUnloaded where none is.
        """
        try:
            async with asyncio.timeout(self._shown.timings.wait):
                while (ready := self.keeper.ready_one()) is None:
                    self._refuse_to_load()
                    await self.keeper.news()
        except TimeoutError:
            raise ModelLoading(f"{self.not_ready()}.") from None
        return _api(ready.address)

    def _refuse_to_load(self) -> None:
        if not self.keeper.open:
            raise Stopping("This proxy is shutting down.")
        states = {self.keeper.supervisor(model.name).state for model in self.keeper.models}
        if self.keeper.coming or states & {State.STARTING, State.RESTING}:
            return
        if State.FAILED in states:
            raise ChildFailed(
                f"{self.not_ready()}. GET starts no model: the next chat request tries again."
            )
        raise ModelUnloaded(
            f"no model is loaded, and GET loads none: the next chat request loads {self.model()}."
        )

    # Only a request with a seat is answered.
    async def admit(self, claim: Claim) -> None:  # noqa: ARG002
        return None

    def waits_for(self) -> str | None:
        return None

    async def after(self, refused: Address) -> Address | None:
        await self._shown.exit_noticed(refused.root)
        return await self.address()

    async def next_life(self) -> bool:
        return False  # only who has a seat is answered

    def not_ready(self) -> str | None:
        shown = self._shown
        if shown.state is State.READY or self.asleep():
            return None
        state = (
            State.STARTING if shown.state is State.STOPPED and self.keeper.coming else shown.state
        )
        return f"our llama-server {told(state, shown.reason)}"

    def asleep(self) -> bool:
        stopped = all(
            self.keeper.supervisor(model.name).state is State.STOPPED
            for model in self.keeper.models
        )
        return stopped and self.keeper.open and not self.keeper.coming

    def device(self) -> str | None:
        return self._shown.facts.runs_on

    def answered(self, prompt: int = 0, cached: int = 0) -> None:
        self._shown.answered(prompt, cached)

    def at(self, wish: Wish) -> Place:
        lease = self.keeper.lease(
            wish.model, wanted=self.wanted, side=wish.side, tools=wish.tools, mark=wish.mark
        )
        return Seat(self, lease)

    def leave(self) -> None:
        return None

    def model(self) -> str | None:
        return self.keeper.named(None, self.wanted).name

    def dialect(self) -> str | None:
        return None

    def log(self) -> ServerLog:
        return self._shown.log

    def models(self) -> list[Model]:
        shown: list[Model] = []
        for model in self.keeper.models:
            context = self.keeper.supervisor(model.name).facts.context or model.context
            shown.append(
                Model(model.name, owned_by="llamacpp", context=context, aliases=model.aliases)
            )
        return shown

    def details(self) -> list[dict[str, Any]]:
        return [self._details(model.name, model.context) for model in self.keeper.models]

    def _details(self, name: str, context: int | None) -> dict[str, Any]:
        supervisor = self.keeper.supervisor(name)
        facts, ready = supervisor.facts, supervisor.state is State.READY
        told: dict[str, Any] = {
            "id": name,
            "state": supervisor.state.value,
            "reason": supervisor.reason or None,
        }
        told["context"] = facts.context or context
        if ready:
            layers = (
                None
                if facts.layers is None
                else {"offloaded": facts.offloaded, "all": facts.layers}
            )
            told |= {"device": facts.runs_on, "layers": layers, "slots": facts.slots}
            told |= {
                "memory_mib": round(facts.memory) or None,
                "gpu_memory_mib": round(facts.gpu_memory) or None,
            }
            problem = supervisor.gpu_problem
            told |= {
                "warning": str(problem) if problem else None,
                "cure": problem.command if problem else None,
            }
        return told

    @property
    def _shown(self) -> Supervisor:
        """The child that stands for all: the one that is ready, or on its way, or the one that
        would be loaded.
        """
        ready = self.keeper.ready_one()
        if ready is not None:
            return ready
        all_of_them = [self.keeper.supervisor(model.name) for model in self.keeper.models]
        default = self.keeper.supervisor(self.keeper.named(None, self.wanted).name)
        return next(
            (one for one in [default, *all_of_them] if one.state is not State.STOPPED), default
        )


@dataclass(frozen=True)
class Seat:
    """One request's place."""

    all: OwnModels
    lease: Lease

    async def address(self) -> Address:
        return _api(await self.lease.ready())

    async def admit(self, claim: Claim) -> None:
        await self.lease.admit(
            Reservation(claim.count, claim.output, claim.tools, claim.choices, claim.session)
        )

    def waits_for(self) -> str | None:
        return self.lease.waits_for

    async def after(self, refused: Address) -> Address | None:
        return _api(await self.lease.elsewhere(refused.root))

    async def next_life(self) -> bool:
        await self.lease.next_life()
        return True

    def not_ready(self) -> str | None:
        return self.all.not_ready()

    def asleep(self) -> bool:
        return self.all.asleep()

    def device(self) -> str | None:
        return self.lease.supervisor.facts.runs_on

    def answered(self, prompt: int = 0, cached: int = 0) -> None:
        self.lease.answered(prompt, cached)

    def at(self, wish: Wish) -> Place:
        return self.all.at(wish)

    def leave(self) -> None:
        self.lease.leave()

    def model(self) -> str | None:
        return self.lease.model.name

    def dialect(self) -> str | None:
        return self.lease.model.dialect

    def log(self) -> ServerLog:
        return self.lease.supervisor.log

    def models(self) -> list[Model]:
        return self.all.models()

    def details(self) -> list[dict[str, Any]]:
        return self.all.details()


def _api(ready: ReadyAt) -> Address:
    return Address(ready.url + "/v1", ready.key)
