"""Model of OpenCode 2 as a client: the requests that it sends, and how it reads an answer.

It is based on the documentation and source of OpenCode 2, because the program itself could not be
run. Whatever would be fatal to OpenCode raises AssertionError here.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tests.asgi import Call

Outcome: TypeAlias = Literal["done", "asked again", "shortened", "given up"]

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "shell",
        "description": "Runs a command",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "timeout": {"type": "integer"}},
            "required": ["command"],
        },
        "strict": False,
    },
}
SYSTEM = {"role": "system", "content": "You are an agent."}
USER = {"role": "user", "content": "List the files."}
CALLED = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "I look.",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "shell", "arguments": '{"command":"ls"}'},
        }
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "a.py"}

# Matched against the body of an error response, and against an error event in a stream.
OVERFLOW = re.compile(
    r"prompt is too long|context_length_exceeded|maximum context length is \d+ tokens|"
    r"exceeds the available context size|"
    r"exceeds the limit of \d+|too many tokens|token limit exceeded|"
    r"reduce the length of the messages|request_too_large",
    re.IGNORECASE,
)
RATE_LIMIT = re.compile(r"rate.?limit|too.?many.?requests", re.IGNORECASE)


def turn(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the body of a main request, without the model."""
    return {
        "messages": [SYSTEM, *(messages or (USER,))],
        "tools": [TOOL],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 8192,
        "store": False,
    } | more


@dataclass
class Heard:
    outcome: Outcome = "asked again"
    text: str = ""
    reasoning: str = ""
    run: list[tuple[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    error: str = ""


def listen(call: Call) -> Heard:
    assert call.complete
    if call.status != 200:
        return Heard(_of_status(call.status, call.text, call.headers), error=call.text)
    assert "x-should-retry" not in call.headers
    heard, finish = Heard(), None
    calls: dict[int, dict[str, Any]] = {}
    payloads = [line[5:].strip() for line in call.text.split("\n") if line.startswith("data:")]
    read = payloads[: payloads.index("[DONE]")] if "[DONE]" in payloads else payloads
    for chunk in map(json.loads, filter(None, read)):
        if "error" in chunk:
            return _failed(heard, chunk["error"])
        heard.usage = chunk.get("usage") or heard.usage
        for choice in chunk.get("choices", []):
            assert finish is None, "content after the finish reason is fatal"
            _read(heard, calls, choice["delta"])
            finish = choice["finish_reason"]
    assert finish is not None, "an answer without a finish reason is requested ten times"
    _finish(heard, calls, finish)
    return heard


def _of_status(status: int, body: str, headers: dict[str, str]) -> Outcome:
    assert isinstance(json.loads(body)["error"]["message"], str)
    if status < 500 and OVERFLOW.search(body):
        return "shortened"
    if "x-should-retry" in headers:
        return "asked again" if headers["x-should-retry"] == "true" else "given up"
    return (
        "asked again"
        if status in (408, 409, 429) or status >= 500 or RATE_LIMIT.search(body)
        else "given up"
    )


def _failed(heard: Heard, error: Any) -> Heard:
    assert isinstance(error, dict), "an error that is not an object is fatal"
    heard.error = error["message"]
    if OVERFLOW.search(json.dumps(error)):
        heard.outcome = "shortened"
    elif error["type"] == "invalid_request_error":
        heard.outcome = "given up"
    return heard


def _read(heard: Heard, calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    heard.text += delta.get("content") or ""
    heard.reasoning += delta.get("reasoning_content") or ""
    for piece in delta.get("tool_calls", []):
        if piece["index"] not in calls:
            assert piece["id"] not in [call["id"] for call in calls.values()], (
                "one id for two calls ends the session"
            )
            calls[piece["index"]] = {
                "id": piece["id"],
                "name": piece["function"]["name"],
                "arguments": "",
            }
        calls[piece["index"]]["arguments"] += piece["function"]["arguments"]


def _finish(heard: Heard, calls: dict[int, dict[str, Any]], finish: str) -> None:
    assert finish in ("stop", "length", "tool_calls", "content_filter"), (
        "an answer with any other finish reason is requested again without end"
    )
    heard.outcome = "done"
    if finish in ("stop", "tool_calls"):  # after `length`, not even complete calls run
        heard.run = [
            (call["name"], json.loads(call["arguments"] or "{}"))
            for call in calls.values()
            if _is_json(call["arguments"])
        ]


def _is_json(arguments: str) -> bool:
    """Return whether OpenCode would run a call with these arguments.

    If they are not JSON, it reports an error to the model instead.
    """
    try:
        json.loads(arguments or "{}")
    except ValueError:
        return False
    return True
