"""A backend made of recorded bytes: it answers as it is told, with pauses, and remembers what it
was asked.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

Piece = bytes | float | asyncio.Event | Exception
"""Bytes are sent, a number is a pause in seconds, an event is waited for, an error breaks the
connection.
"""


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


Answer = httpx.Response | Exception | asyncio.Event


@dataclass
class Backend(httpx.AsyncBaseTransport):
    """`answers` by path; each may be a response, an error, a function of the request, or a list
    of these, used in turn.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    open: bool = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.bodies.append(b"".join([piece async for piece in request.stream]))
        answer: Any = self.answers.get(
            request.url.path, httpx.Response(404, json={"error": {"message": "File Not Found"}})
        )
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer) and not isinstance(answer, httpx.Response):
            answer = answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        response: httpx.Response = answer
        if not isinstance(response.stream, Script):
            response = httpx.Response(
                answer.status_code, headers=answer.headers, stream=Script([answer.content])
            )
        return response

    async def aclose(self) -> None:
        self.open = False

    def questions(self, path: str = "/v1/chat/completions") -> list[Any]:
        return [
            json.loads(body)
            for request, body in zip(self.asked, self.bodies, strict=True)
            if request.url.path == path
        ]


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
