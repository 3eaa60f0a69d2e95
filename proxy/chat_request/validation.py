"""Validates the fields that llama-bridge reads, so that an error names the field."""

from typing import Any

from proxy.errors import BadRequest

NAME_LIMIT = 1024
MAX_DEPTH = 128  # of nested arrays and objects; JSON serializers fail at 254

_FIELDS: dict[str, tuple[tuple[type, ...], str]] = {
    "messages": ((list,), "a list of messages"),
    "tools": ((list,), "a list of tools"),
    "model": ((str,), "a string"),
    "stream": ((bool,), "true or false"),
    "stream_options": ((dict,), "an object"),
    "parallel_tool_calls": ((bool,), "true or false"),
    "tool_choice": ((str, dict), "a word, or an object that names a tool"),
}


def check(body: dict[str, Any]) -> None:
    if body.get("messages") is None:
        raise BadRequest("`messages` must be a list of messages", param="messages")
    for name, (types, meant) in _FIELDS.items():
        if (value := body.get(name)) is not None and not isinstance(value, types):
            raise BadRequest(f"`{name}` must be {meant}", param=name)
    for name, what in (("messages", "a message"), ("tools", "a tool")):
        for at, item in enumerate(body.get(name) or []):
            if not isinstance(item, dict):
                raise BadRequest(f"`{name}[{at}]` must be an object: {what}", param=f"{name}[{at}]")
    if len(body.get("model") or "") > NAME_LIMIT:
        raise BadRequest(f"`model` must have at most {NAME_LIMIT:,} characters", param="model")
    if _too_deep(body):
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels")


def _too_deep(body: dict[str, Any]) -> bool:
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
