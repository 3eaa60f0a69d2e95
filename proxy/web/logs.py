"""`/logs`: what our children have written, and what we have said about them.

Followed as events while it comes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import parse_qs

from proxy.errors import ModelNotFound, NotFound
from proxy.protocols import sse
from proxy.web.connection import Connection


class Ring(Protocol):
    @property
    def lines(self) -> Sequence[str]: ...

    def follow(self) -> AsyncIterator[str]: ...


class Logs:
    def __init__(self, rings: Mapping[str, Ring]) -> None:
        self._rings = rings

    async def __call__(self, connection: Connection) -> None:
        asked = parse_qs(connection.scope["query_string"].decode("latin-1"))
        name = asked.get("model", [""])[0]
        if not self._rings:
            raise NotFound(
                "there is no log here: the backend is a server that somebody else looks after"
            )
        chosen = {name: self._rings[name]} if name in self._rings else self._rings
        if name and name not in self._rings:
            raise ModelNotFound(
                f"there is no model {name!r} here; the logs are of: {', '.join(self._rings)}",
                param="model",
            )
        if asked.get("follow", ["0"])[0] not in ("0", "false"):
            await connection.unless_gone(self._follow(connection, next(iter(chosen.values()))))
        else:
            text = "".join(
                f"{line}\n"
                for one, ring in chosen.items()
                for line in _headed(one, ring, len(chosen))
            )
            await connection.answer(
                200,
                text.encode(),
                [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")],
            )

    async def _follow(self, connection: Connection, ring: Ring) -> None:
        await connection.start(
            200,
            [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
            ],
        )
        async with connection.kept_alive():
            async for line in ring.follow():
                await connection.write(sse.event(line.encode()))


def _headed(name: str, ring: Ring, count: int) -> list[str]:
    return [f"==> {name} <==", *ring.lines] if count > 1 else list(ring.lines)
