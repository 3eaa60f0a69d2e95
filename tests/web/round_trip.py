"""Round trip of a chat request: test client, whole application, scripted backend.

The answer is parsed as the strictest client would parse it.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import httpx
import pytest

from tests.asgi import Call
from tests.backend import Backend, Piece, chunk, models, stream
from tests.bridge import bridge

CHAT, MODELS, COUNT = "/v1/chat/completions", "/v1/models", "/v1/chat/completions/input_tokens"
QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

BOTH = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


class Road:
    """Application in front of a backend that returns `answers` to successive chat requests.

    The last answer is repeated.
    """

    def __init__(self, *answers: Any, others: Any = None, **options: str) -> None:
        self.script = Backend({MODELS: models("m"), CHAT: list(answers), **(others or {})})
        self.app = bridge(self.script, **options)

    def begin(
        self, *, streamed: bool = True, headers: Iterable[tuple[str, str]] = (), **fields: Any
    ) -> Call:
        options = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
        return Call(self.app, CHAT, QUESTION | options | fields, headers=headers)

    async def ask(
        self, *, streamed: bool = True, headers: Iterable[tuple[str, str]] = (), **fields: Any
    ) -> Call:
        return await self.begin(streamed=streamed, headers=headers, **fields).done()


class Made(NamedTuple):
    """Tool call as the client receives it."""

    id: str
    name: str
    arguments: str


class Heard(NamedTuple):
    """One choice of an answer, with its deltas joined."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[Made, ...] = ()
    finish: str | None = None

    @property
    def made(self) -> list[tuple[str, Any]]:
        return [(call.name, json.loads(call.arguments)) for call in self.calls]


async def told(
    *pieces: Piece, streamed: bool = True, options: dict[str, str] | None = None, **fields: Any
) -> Heard:
    """Return what a client receives when the backend streams `pieces`."""
    return heard(await Road(stream(*pieces), **(options or {})).ask(streamed=streamed, **fields))


def heard(call: Call, choice: int = 0) -> Heard:
    assert call.status == 200, call.text
    assert call.complete
    if call.headers["content-type"] == "application/json":
        return _of_whole(call.json, choice)
    assert call.headers["content-type"].startswith("text/event-stream")
    *chunks, done = payloads(call.body)
    assert done == "[DONE]"
    return of_chunks(chunks, choice)


def payloads(body: bytes) -> list[Any]:
    """Return the payloads of a stream without pings; fail on anything else in the stream."""
    events = body.decode().split("\n\n")
    assert events.pop() == ""
    said = [event.removeprefix("data: ") for event in events if event != ": ping"]
    assert all("\n" not in event and not event.startswith((":", "data")) for event in said)
    return [event if event == "[DONE]" else json.loads(event) for event in said]


def of_chunks(chunks: list[Any], choice: int = 0) -> Heard:
    """Check every chunk of a finished stream against the contract, and join one choice."""
    assert (
        len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks})
        == 1
    )
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert all(
        chunk.keys() <= {"id", "object", "created", "model", "choices", "usage"} for chunk in chunks
    )
    assert all(len(chunk["choices"]) == 1 for chunk in chunks if "usage" not in chunk)
    assert all(
        chunk["choices"] == [] and chunk is chunks[-1] for chunk in chunks if "usage" in chunk
    )
    said = [said for chunk in chunks for said in chunk["choices"] if said["index"] == choice]
    assert all(said.keys() <= {"index", "delta", "finish_reason", "logprobs"} for said in said)
    *unfinished, last = said
    assert all(said["finish_reason"] is None for said in unfinished)
    assert last["finish_reason"] in ("stop", "length", "tool_calls", "content_filter")
    assert last["delta"] == {}
    return of_deltas([said["delta"] for said in unfinished], last["finish_reason"])


def of_deltas(deltas: list[dict[str, Any]], finish: str | None = None) -> Heard:
    assert deltas[0] == {"role": "assistant", "content": ""}
    text: dict[str, Any] = {"content": "", "reasoning_content": ""}
    calls: list[Made] = []
    for delta in deltas[1:]:
        for key, value in delta.items():
            assert value
            if key == "tool_calls":
                (piece,) = value
                _add(calls, piece)
            else:
                text[key] = text[key] + value if key in text else value
    return Heard(text["content"], text["reasoning_content"], tuple(calls), finish)


def _add(calls: list[Made], piece: dict[str, Any]) -> None:
    index, function = piece["index"], piece["function"]
    if index == len(calls):
        assert piece == {
            "index": index,
            "id": piece["id"],
            "type": "function",
            "function": {"name": function["name"], "arguments": ""},
        }
        assert piece["id"]
        assert piece["id"] not in [call.id for call in calls]
        calls.append(Made(piece["id"], function["name"], ""))
    else:
        assert piece.keys() == {"index", "function"}
        assert function.keys() == {"arguments"}
        calls[index] = calls[index]._replace(
            arguments=calls[index].arguments + function["arguments"]
        )


def _of_whole(body: dict[str, Any], choice: int) -> Heard:
    assert body.keys() == {"id", "object", "created", "model", "choices", "usage"}
    assert body["object"] == "chat.completion"
    (said,) = [said for said in body["choices"] if said["index"] == choice]
    assert said.keys() == {"index", "message", "logprobs", "finish_reason"}
    message = said["message"]
    assert message.keys() <= {"role", "content", "refusal", "reasoning_content", "tool_calls"}
    assert (message["role"], message["refusal"]) == ("assistant", None)
    calls = message.get("tool_calls", [])
    assert all(
        call.keys() == {"id", "type", "function"} and call["type"] == "function" for call in calls
    )
    made = tuple(
        Made(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls
    )
    return Heard(
        message["content"] or "", message.get("reasoning_content", ""), made, said["finish_reason"]
    )


def failed(call: Call) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the deltas and the error of a stream that was interrupted.

    Fails if anything in the stream looks finished.
    """
    assert call.status == 200
    assert call.complete
    *chunks, error = payloads(call.body)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert all(choice["finish_reason"] is None for choice in choices)
    return [choice["delta"] for choice in choices], refusal(error)


def refusal(body: Any) -> dict[str, Any]:
    """Check the shape of an error body, and return the error without its request id."""
    assert body.keys() == {"error"}
    error: dict[str, Any] = dict(body["error"])
    assert error.pop("request_id").startswith("req_")
    assert {"message", "type", "param", "code"} <= error.keys()
    assert isinstance(error["message"], str)
    return error


def refused(call: Call) -> tuple[int, dict[str, Any]]:
    assert call.headers["content-type"] == "application/json"
    assert call.headers["x-request-id"]
    assert call.complete
    return call.status, refusal(call.json)


def native(
    index: int, arguments: str, *, id: str | None = None, name: str | None = None, choice: int = 0
) -> bytes:
    """Return a chunk with a delta of a tool call that the backend has parsed itself."""
    piece: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if name is not None:
        piece = {
            "index": index,
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
    return chunk({"tool_calls": [piece]}, index=choice)


def whole(message: dict[str, Any], finish: str = "stop", **more: Any) -> httpx.Response:
    """Return an answer of the backend that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [choice],
        **more,
    }
    return httpx.Response(200, json=body)
