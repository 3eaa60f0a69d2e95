"""Writes OpenAI chat completions in the strict order that clients expect.

Names and ids are sent once; there is exactly one finish and one [DONE].
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from proxy import exact_json
from proxy.parsing.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    Logprobs,
    Passthrough,
    Reasoning,
    TextEvent,
    Usage,
)
from proxy.protocols import sse

FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})


@dataclass(slots=True)
class ChunkHead:
    """The fields that all chunks of an answer share."""

    id: str
    created: int
    model: str | None  # None until the backend names one, if the client named none
    wants_usage: bool

    def fields(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model or "unknown",
        }


class StreamWriter:
    """Writes events as server-sent chunks; `take` returns what was written since the last call."""

    media_type = b"text/event-stream"

    def __init__(self, head: ChunkHead) -> None:
        self.head = head
        self._opened: set[int] = set()
        self._out: list[bytes] = []

    @cached_property
    def _frame(self) -> bytes:
        return orjson.dumps(self.head.fields("chat.completion.chunk"))[:-1]

    def write(self, choice: int, event: TextEvent | Logprobs | Passthrough) -> None:
        delta: dict[str, Any]
        match event:
            case Content(text):
                delta = {"content": text}
            case CallArguments(index, text):
                delta = {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
            case Reasoning(text):
                delta = {"reasoning_content": text}
            case CallStart(index, id, name):
                function = {"name": name, "arguments": ""}
                delta = {
                    "tool_calls": [
                        {"index": index, "id": id, "type": "function", "function": function}
                    ]
                }
            case Passthrough(value):
                delta = value
            case CallEnd():
                return
            case _:
                self._open_choice(choice)
                self._choice(
                    {"index": choice, "delta": {}, "logprobs": event.value, "finish_reason": None}
                )
                return
        self._open_choice(choice)
        self._choice({"index": choice, "delta": delta, "finish_reason": None})

    def drop_open_calls(self, choice: int) -> None:
        """Leave open calls as they are: their arguments stay incomplete, and no client runs
        them.
        """

    def finish(self, choice: int, reason: str) -> None:
        self._open_choice(choice)
        self._choice({"index": choice, "delta": {}, "finish_reason": reason})

    def end(self, usage: Usage) -> None:
        if self.head.wants_usage:
            self._out.append(
                sse.event(
                    self._frame + b',"choices":[],"usage":' + orjson.dumps(_usage(usage)) + b"}"
                )
            )
        self._out.append(sse.DONE)

    def write_error(self, body: dict[str, Any]) -> None:
        """Write an error in place of the finish, without [DONE]: the answer must not look
        complete.
        """
        self._out.append(sse.event(orjson.dumps(body)))

    def take(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _open_choice(self, choice: int) -> None:
        if choice not in self._opened:
            self._opened.add(choice)
            self._choice(
                {
                    "index": choice,
                    "delta": {"role": "assistant", "content": ""},
                    "finish_reason": None,
                }
            )

    def _choice(self, choice: dict[str, Any]) -> None:
        self._out.append(
            sse.event(self._frame + b',"choices":[' + exact_json.dumps(choice) + b"]}")
        )


@dataclass
class _MessageBuilder:
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, tuple[CallStart, list[str]]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    logprobs: dict[str, list[Any]] = field(default_factory=dict)
    passthrough: dict[str, Any] = field(default_factory=dict)
    finish: str = "stop"

    def as_choice(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self.content),
            "refusal": None,
        }
        message |= self.passthrough
        if (self.calls or self.passthrough) and not self.content:
            message["content"] = None
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": start.id,
                    "type": "function",
                    "function": {"name": start.name, "arguments": "".join(arguments)},
                }
                for start, arguments in self.calls.values()
            ]
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs or None,
            "finish_reason": self.finish,
        }


class CompletionWriter:
    """Writes the same events as one JSON object, for a client that does not stream."""

    media_type = b"application/json"

    def __init__(self, head: ChunkHead) -> None:
        self.head = head
        self._messages: dict[int, _MessageBuilder] = {}
        self._out = b""

    def write(self, choice: int, event: TextEvent | Logprobs | Passthrough) -> None:
        message = self._messages.setdefault(choice, _MessageBuilder())
        match event:
            case Content(text):
                message.content.append(text)
            case Reasoning(text):
                message.reasoning.append(text)
            case CallStart(index):
                message.calls[index] = (event, [])
            case CallArguments(index, text):
                message.calls[index][1].append(text)
            case CallEnd(index, whole):
                message.ended |= {index} if whole else set()
            case Passthrough(value):
                message.passthrough = _merged(message.passthrough, value)
            case _:
                for key, part in event.value.items():
                    if isinstance(part, list):
                        message.logprobs.setdefault(key, []).extend(part)

    def drop_open_calls(self, choice: int) -> None:
        if (message := self._messages.get(choice)) is not None:
            message.calls = {
                index: call for index, call in message.calls.items() if index in message.ended
            }

    def finish(self, choice: int, reason: str) -> None:
        self._messages.setdefault(choice, _MessageBuilder()).finish = reason

    def end(self, usage: Usage) -> None:
        choices = [message.as_choice(index) for index, message in sorted(self._messages.items())]
        self._out = exact_json.dumps(
            self.head.fields("chat.completion") | {"choices": choices, "usage": _usage(usage)}
        )

    def take(self) -> bytes:
        out, self._out = self._out, b""
        return out


def _merged(known: Any, more: Any) -> Any:
    """Return `known` joined with `more`: strings and lists are appended, other values replaced."""
    if isinstance(known, dict) and isinstance(more, dict):
        return known | {key: _merged(known.get(key), value) for key, value in more.items()}
    in_pieces = isinstance(more, str | list) and type(more) is type(known)
    return known + more if in_pieces else more


def _usage(usage: Usage) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }
    if usage.reasoning is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return counts
