"""Where a backend is at this moment. Our own child must first be made ready, and has another port after each start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.backends.address import Address


class ServerLog(Protocol):
    written: int  # so many lines

    def since(self, written: int) -> Sequence[str]:
        """What came after so many."""


class Place(Protocol):
    async def address(self) -> Address:
        """Waits until somebody can answer there, where we can do something about it."""

    async def after(self, refused: Address) -> Address | None:
        """Nobody answered at that address: where to ask once more, if there is such a place."""

    def not_ready(self) -> str | None:
        """Why nobody answers there now, as far as it is known without asking."""

    def device(self) -> str | None:
        """What the model runs on, as far as it is known."""

    def answered(self) -> None:
        """An answer was finished: whoever looks after the place may want to know."""

    def log(self) -> ServerLog | None:
        """What the server writes down, where we see it."""


@dataclass(frozen=True, slots=True)
class Named:
    """A server that somebody else looks after."""

    named: Address

    async def address(self) -> Address:
        return self.named

    async def after(self, _refused: Address) -> Address | None:
        return None

    def not_ready(self) -> str | None:
        return None

    def device(self) -> str | None:
        return None

    def answered(self) -> None:
        return None

    def log(self) -> ServerLog | None:
        return None
