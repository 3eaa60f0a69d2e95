"""What the tiny model is asked, what it says, and an answer read as strictly as the strictest
client reads it.
"""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from proxy import banner as welcome
from proxy.web.health import HealthReport
from tests.asgi import Call

CONTENT = "I'll take a look at the files first.\n\n"
THOUGHTS = "The user wants something from me. Let me think about what to do next."
FINAL = "The command has finished. Here is my final answer: all done."
PLAIN = "Hello! I am a tiny test model, and I have no tools to call."
LEAK = (
    "<tool_call>\n<function=bash>\n<parameter=command>\nls -la\n</parameter>\n</function>\n"
    "</tool_call>"
)

CHUNK_FIELDS = {"id", "object", "created", "model", "choices", "usage"}


def curl_line(banner: str) -> str:
    return next(line for line in banner.splitlines() if line.lstrip().startswith("curl "))


# The question that the banner offers to everybody, with the one tool that the model calls.
ASKED: dict[str, Any] = json.loads(
    shlex.split(curl_line(welcome.text("http://127.0.0.1:1", None, HealthReport("ok"))))[-1]
)
TOOLS: list[Any] = ASKED["tools"]


def question(text: str = "List the files, please.", **more: Any) -> dict[str, Any]:
    return {
        "model": "whatever",
        "messages": [{"role": "user", "content": text}],
        "tools": TOOLS,
    } | more


def endless(**more: Any) -> dict[str, Any]:
    """Half a minute of prose, if nobody stops it."""
    return {
        "messages": [{"role": "user", "content": "Tell me more."}],
        "ignore_eos": True,
        "max_tokens": 30_000,
    } | more


@dataclass(frozen=True)
class Answer:
    content: str | None = None
    thoughts: str | None = None
    calls: tuple[tuple[str, str], ...] = ()  # name, arguments word for word
    finish: str = "stop"
    ids: frozenset[str] = field(default=frozenset(), compare=False)
    usage: Any = field(default=None, compare=False)


CALL = Answer(CONTENT, None, (("bash", '{"command":"ls -la"}'),), "tool_calls")


def whole(call: Call, index: int = 0) -> Answer:
    """An answer that was not streamed."""
    assert call.status == 200, call.text
    assert call.complete
    assert call.headers["content-type"] == "application/json"
    completion = call.json
    assert set(completion) == CHUNK_FIELDS
    assert completion["object"] == "chat.completion"
    choice = completion["choices"][index]
    assert choice["index"] == index
    message = choice["message"]
    assert message["role"] == "assistant"
    calls = message.get("tool_calls", [])
    assert all(each["type"] == "function" for each in calls)
    return Answer(
        message["content"],
        message.get("reasoning_content"),
        tuple((each["function"]["name"], each["function"]["arguments"]) for each in calls),
        choice["finish_reason"],
        frozenset(each["id"] for each in calls),
        completion["usage"],
    )


def streamed(call: Call, index: int = 0) -> Answer:
    """One choice of a stream. Whatever any real client stumbles over fails here."""
    assert call.status == 200, call.text
    assert call.complete
    assert call.headers["content-type"].startswith("text/event-stream")
    *chunks, done = call.data
    assert done == "[DONE]"
    assert "[DONE]" not in chunks
    assert all(
        set(chunk) <= CHUNK_FIELDS and chunk["object"] == "chat.completion.chunk"
        for chunk in chunks
    )
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    usages = [chunk["usage"] for chunk in chunks if "usage" in chunk]
    assert [chunk for chunk in chunks if not chunk["choices"]] == chunks[
        len(chunks) - len(usages) :
    ]
    choices = [
        choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index
    ]
    *said, last = choices
    assert [choice["finish_reason"] for choice in said] == [None] * len(said)
    assert last["delta"] == {}
    content, thoughts, names, arguments, ids = _said(choice["delta"] for choice in said)
    return Answer(
        content or None,
        thoughts or None,
        tuple(zip(names, arguments, strict=True)),
        last["finish_reason"],
        frozenset(ids),
        *usages,
    )


def _said(deltas: Iterable[dict[str, Any]]) -> tuple[str, str, list[str], list[str], list[str]]:
    first, *rest = deltas
    assert first == {"role": "assistant", "content": ""}
    content, thoughts = "", ""
    names: list[str] = []
    arguments: list[str] = []
    ids: list[str] = []
    order: list[str] = []
    for delta in rest:
        [(kind, value)] = delta.items()  # one thing at a time
        order.append(kind)
        match kind:
            case "content":
                content += value
            case "reasoning_content":
                thoughts += value
            case _:
                assert kind == "tool_calls"
                [part] = value
                if "id" in part:
                    assert part["index"] == len(names)
                    assert part["type"] == "function"
                    assert part["function"]["arguments"] == ""
                    ids.append(part["id"])
                    names.append(part["function"]["name"])
                    arguments.append("")
                else:
                    assert set(part) == {"index", "function"}
                    assert set(part["function"]) == {"arguments"}
                    arguments[part["index"]] += part["function"]["arguments"]
    assert order == sorted(order, key=["reasoning_content", "content", "tool_calls"].index)
    assert len(set(ids)) == len(ids)
    return content, thoughts, names, arguments, ids
