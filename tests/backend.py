"""Scripted backend: sends recorded bytes with pauses, and records the requests."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx
import respx

Piece = bytes | float | asyncio.Event | Exception
"""Bytes to send, seconds to pause, an event to wait for, or an error that ends the connection."""


@dataclass
class Script(httpx.AsyncByteStream):
    pieces: Iterable[Piece]
    closed: bool = False
    sent: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, bytes):
                self.sent += 1
                yield piece
            elif isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                await asyncio.sleep(piece)

    async def aclose(self) -> None:
        self.closed = True


Answer = Any
"""A response, an error, a function of the request, or a list of these."""


def _in_turn(answers: list[Answer]) -> Iterator[Answer]:
    yield from answers
    while True:
        yield answers[-1]


class Backend(httpx.MockTransport):
    """Transport to a server that answers by path, scripted with respx.

    Other paths return 404. A request is in `asked` when it arrives, and in `router.calls` only
    after it was answered.
    """

    def __init__(self, answers: Mapping[str, Answer] = MappingProxyType({})) -> None:
        super().__init__(self._receive)
        self.router = respx.Router()
        self.asked: list[httpx.Request] = []
        self.open = True
        self.on(answers)

    def on(self, answers: Mapping[str, Answer]) -> None:
        """Answer the paths of `answers` with their values from now on.

        A list gives one answer per request; its last answer is repeated.
        """
        for path, answer in answers.items():
            # Not `path=path`, which parses `//x//` as a host.
            route = self.router.route(path__regex=f"^{re.escape(path)}$")
            if isinstance(answer, httpx.Response):
                route.mock(return_value=answer)
            elif isinstance(answer, list):
                route.mock(side_effect=_in_turn(answer))
            else:
                route.mock(side_effect=answer)

    def become(self, answers: Mapping[str, Answer]) -> None:
        """Answer only the paths of `answers` from now on."""
        self.router.clear()
        self.on(answers)

    async def _receive(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        try:
            response = await self.router.async_handler(request)
        except respx.models.AllMockedAssertionError:
            response = httpx.Response(404, json={"error": {"message": "File Not Found"}})
        # respx has marked the response as read, so its stream needs a new response.
        return httpx.Response(
            response.status_code, headers=response.headers, stream=response.stream
        )

    async def aclose(self) -> None:
        self.open = False

    @property
    def bodies(self) -> list[bytes]:
        return [request.content for request in self.asked]

    def questions(self, path: str = "/v1/chat/completions") -> list[Any]:
        return [json.loads(request.content) for request in self.asked if request.url.path == path]


def models(*names: str, owner: str = "somebody", **headers: str) -> httpx.Response:
    data = [{"id": name, "object": "model", "created": 1, "owned_by": owner} for name in names]
    return httpx.Response(200, json={"object": "list", "data": data}, headers=headers)


def chunk(delta: Any = None, *, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta if delta is not None else {}, "finish_reason": finish}
    return event(
        {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
            **more,
        }
    )


def event(payload: Any) -> bytes:
    return (
        b"data: "
        + (payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        + b"\n\n"
    )


def text(*pieces: str) -> list[Piece]:
    return [chunk({"content": piece}) for piece in pieces]


ROLE = chunk({"role": "assistant", "content": None})
STOP = chunk(finish="stop")
USAGE = event(
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 7},
        },
    }
)
DONE = event(b"[DONE]")
END: list[Piece] = [STOP, USAGE, DONE]


def stream(
    *pieces: Piece, status: int = 200, content_type: str = "text/event-stream"
) -> httpx.Response:
    return httpx.Response(status, headers={"content-type": content_type}, stream=Script(pieces))


def script_of(response: httpx.Response) -> Script:
    assert isinstance(response.stream, Script)
    return response.stream


Make = Callable[..., Any]
