"""ASGI test client that sees each message when it is sent, can read slowly, and can disconnect."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from proxy.web.connection import Receive, Scope, Send
from tests.patience import HANGS

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Received:
    """Messages of one response, as a client reads them."""

    def __init__(self, messages: Iterable[MutableMapping[str, Any]] = ()) -> None:
        self.messages = list(messages)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def complete(self) -> bool:
        """Return whether the response was ended; if not, a server would cut the connection."""
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    @property
    def data(self) -> list[Any]:
        """Return the payloads of an event stream, decoded except for `[DONE]`."""
        lines = [
            line.removeprefix("data: ")
            for line in self.text.split("\n")
            if line.startswith("data: ")
        ]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


class Call(Received):
    """One request, and the messages of its response so far."""

    def __init__(
        self,
        application: Application,
        path: str = "/v1/chat/completions",
        body: Any = None,
        *,
        method: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        pieces: Iterable[bytes] | None = None,
        server: tuple[str, int] = ("127.0.0.1", 8081),
    ) -> None:
        raw = (
            body
            if isinstance(body, bytes)
            else json.dumps(body).encode()
            if body is not None
            else b""
        )
        path, _, query = path.partition("?")
        given = [(name.lower().encode(), value.encode()) for name, value in headers]
        if not any(name == b"host" for name, _ in given):
            given.append((b"host", b"127.0.0.1:8081"))
        if raw:
            given.append((b"content-length", b"%d" % len(raw)))
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method or ("POST" if raw or pieces is not None else "GET"),
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": given,
            "server": server,
            "client": ("127.0.0.1", 50000),
        }
        super().__init__()
        self.times: list[float] = []
        self.may_send = asyncio.Event()  # cleared while the client does not read
        self.may_send.set()
        self._upload = [*([raw] if pieces is None else pieces)]
        self._news = asyncio.Event()
        self._left = asyncio.Event()
        self._began = time.monotonic()
        self.task = asyncio.create_task(self._run(application))

    async def _run(self, application: Application) -> None:
        await application(self.scope, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._upload:
            piece = self._upload.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._upload)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.may_send.wait()
        self.messages.append(message)
        self.times.append(time.monotonic() - self._began)
        self._news.set()
        if self.complete:
            # Like uvicorn, report a disconnect after a complete response.
            self._left.set()

    def hang_up(self) -> None:
        self._left.set()

    async def until(self, seen: Callable[["Call"], bool], seconds: float = HANGS) -> None:
        """Wait until `seen` is true of the messages so far."""
        async with asyncio.timeout(seconds):
            while not seen(self):
                self._news.clear()
                assert not self.task.done() or seen(self), self.text
                await self._news.wait()

    async def done(self, seconds: float = HANGS) -> "Call":
        async with asyncio.timeout(seconds):
            await self.task
        return self


async def ask(application: Application, *arguments: Any, **more: Any) -> Call:
    return await Call(application, *arguments, **more).done()


def without_id(body: Any) -> Any:
    """Return an error body without its request id."""
    assert body["error"]["request_id"].startswith("req_")
    return {"error": {name: value for name, value in body["error"].items() if name != "request_id"}}
