"""The parsed chat request: its body, and the fields that llama-bridge itself needs."""

import json
from dataclasses import dataclass
from typing import Any

import orjson

from proxy import exact_json
from proxy.chat_request import progress_notes, tool_choice, validation
from proxy.chat_request.tool_choice import ToolChoice
from proxy.errors import BadRequest


@dataclass(frozen=True, slots=True)
class ChatRequest:
    body: dict[str, Any]
    size: int  # bytes
    model: str | None
    streamed: bool
    wants_usage: bool
    choices: int
    tools: tuple[Any, ...]  # empty if no call is wanted
    tool_choice: ToolChoice
    single_call: bool  # parallel_tool_calls: false
    used_call_ids: frozenset[str]  # ids of calls in the conversation


def parse(raw: bytes) -> ChatRequest:
    body = _parse_json(raw)
    validation.check(body)
    progress_notes.strip_notes(body["messages"])
    messages, tools, choices = body["messages"], body.get("tools"), body.get("n")
    if choices is not None and (
        not isinstance(choices, int) or isinstance(choices, bool) or choices < 1
    ):
        raise BadRequest("`n` must be an integer of at least 1", param="n")
    options, choice = body.get("stream_options"), tool_choice.parse(body)
    return ChatRequest(
        body=body,
        size=len(raw),
        model=body.get("model"),
        streamed=body.get("stream") is True,
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=choices or 1,
        tools=() if not tools or choice.mode == "none" else tuple(tools),
        tool_choice=choice,
        single_call=body.get("parallel_tool_calls") is False,
        used_call_ids=_call_ids(messages),
    )


def user_and_tool_texts(body: dict[str, Any]) -> list[str]:
    """Return the texts of user and tool messages."""
    messages = (
        one
        for one in body["messages"]
        if isinstance(one, dict) and one.get("role") in ("user", "tool", "function")
    )
    contents = [message.get("content") for message in messages]
    parts = (
        part.get("text")
        for content in contents
        for part in _as_list(content)
        if isinstance(part, dict)
    )
    return [text for text in (*contents, *parts) if isinstance(text, str)]


def _parse_json(raw: bytes) -> dict[str, Any]:
    try:
        body = exact_json.loads(raw)
    except orjson.JSONDecodeError as error:
        body = _repair_surrogates(raw)
        if body is None:
            raise BadRequest(
                f"the body is not valid JSON: {error.msg} (line {error.lineno}, "
                f"column {error.colno})"
            ) from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def _repair_surrogates(raw: bytes) -> Any:
    """Return the JSON with lone surrogates replaced, or None if it is invalid.

    JavaScript clients cut long tool results in the middle of an emoji, and llama.cpp refuses the
    half.
    """
    try:
        text = json.dumps(json.loads(raw), ensure_ascii=False)
        return exact_json.loads(
            text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        )
    except (ValueError, RecursionError):
        return None


def _call_ids(messages: list[Any]) -> frozenset[str]:
    calls = (
        call
        for message in messages
        if isinstance(message, dict)
        for call in _as_list(message.get("tool_calls"))
    )
    return frozenset(
        call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
