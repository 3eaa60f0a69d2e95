"""Endpoint `/logs`: the output of the managed llama-server processes, and log lines about them.

With `?follow=1`, new lines are sent as server-sent events.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import parse_qs

from proxy.errors import ModelNotFound, NotFound
from proxy.protocols import sse
from proxy.web.connection import Connection


class LogFeed(Protocol):
    @property
    def lines(self) -> Sequence[str]: ...

    def follow(self) -> AsyncIterator[str]: ...


class Logs:
    def __init__(self, feeds: Mapping[str, LogFeed]) -> None:
        self._feeds = feeds

    async def __call__(self, connection: Connection) -> None:
        asked = parse_qs(connection.scope["query_string"].decode("latin-1"))
        name = asked.get("model", [""])[0]
        if not self._feeds:
            raise NotFound("no logs: llama-bridge did not start this backend")
        chosen = {name: self._feeds[name]} if name in self._feeds else self._feeds
        if name and name not in self._feeds:
            raise ModelNotFound(
                f"unknown model {name!r}; there are logs of: {', '.join(self._feeds)}",
                param="model",
            )
        if asked.get("follow", ["0"])[0] not in ("0", "false"):
            await connection.run_until_disconnected(
                self._follow(connection, next(iter(chosen.values())))
            )
        else:
            text = "".join(
                f"{line}\n"
                for one, feed in chosen.items()
                for line in _with_heading(one, feed, len(chosen))
            )
            await connection.respond(
                200,
                text.encode(),
                [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")],
            )

    async def _follow(self, connection: Connection, feed: LogFeed) -> None:
        await connection.start(
            200,
            [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-store"),
            ],
        )
        async with connection.keepalive():
            async for line in feed.follow():
                await connection.write(sse.event(line.encode()))


def _with_heading(name: str, feed: LogFeed, count: int) -> list[str]:
    return [f"==> {name} <==", *feed.lines] if count > 1 else list(feed.lines)
