"""Adapts the earlier messages of a conversation to the backend.

`developer` becomes `system`, because many servers ignore or refuse `developer` and the client's
instructions with it. Reasoning is moved to the field that the backend knows. Encrypted or signed
reasoning is removed: only the server that made it can read it, and llama-bridge never passes it to
clients, so it comes from another server.
"""

from typing import Any

REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
_FOREIGN = frozenset(
    {
        "reasoning_details",
        "reasoning_opaque",
        "reasoning_signature",
        "encrypted_content",
        "thinking_blocks",
        "thought_signature",
        "signature",
        "provider_specific_fields",
        "extra_content",
    }
)
_FOREIGN_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning.encrypted"})


def normalize(messages: list[Any], reasoning_field: str | None) -> list[Any]:
    return [
        _normalize(message, reasoning_field) if isinstance(message, dict) else message
        for message in messages
    ]


def join_text_parts(messages: list[Any]) -> list[Any]:
    """Join the text parts of each message.

    Some servers take each part for a message, or refuse other parts.
    """
    return [_join_text_parts(message) for message in messages]


def join_user_messages(messages: list[Any]) -> list[Any]:
    """Join consecutive user messages, which the templates of Mistral and Gemma refuse."""
    joined: list[Any] = []
    for message in messages:
        if joined and _is_of(message, "user") and _is_of(joined[-1], "user"):
            joined[-1] = joined[-1] | {
                "content": _both(joined[-1].get("content"), message.get("content"))
            }
        else:
            joined.append(message)
    return joined


def end_with_user(messages: list[Any]) -> list[Any]:
    """Turn a final assistant message into a user message, if it is not a prefill."""
    if not messages or not _is_of(messages[-1], "assistant") or messages[-1].get("tool_calls"):
        return messages
    return [*messages[:-1], {"role": "user", "content": messages[-1].get("content") or ""}]


def _is_of(message: Any, role: str) -> bool:
    return isinstance(message, dict) and message.get("role") == role


def _both(content: Any, more: Any) -> Any:
    if isinstance(content, str) and isinstance(more, str):
        return f"{content}\n\n{more}"
    return [*_parts(content), *_parts(more)]


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _join_text_parts(message: Any) -> Any:
    if _is_in_parts(message):
        return message | {"content": _text(message["content"])}
    return (
        message | {"content": ""}
        if isinstance(message, dict) and message.get("content", "") is None
        else message
    )


def _normalize(message: dict[str, Any], reasoning_field: str | None) -> dict[str, Any]:
    match message.get("role"):
        case "assistant":
            return _assistant(message, reasoning_field)
        case "developer":
            return _with_content(message | {"role": "system"})
        case _:
            return _with_content(message)


def _with_content(message: dict[str, Any]) -> dict[str, Any]:
    return message | {"content": ""} if message.get("content", "") is None else message


def _is_in_parts(message: Any) -> bool:
    parts = message.get("content") if isinstance(message, dict) else None
    return isinstance(parts, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts
    )


def _assistant(message: dict[str, Any], reasoning_field: str | None) -> dict[str, Any]:
    reasoning = next(
        (message[key] for key in REASONING_FIELDS if isinstance(message.get(key), str)), None
    )
    kept = {
        key: value
        for key, value in message.items()
        if key not in _FOREIGN and key not in REASONING_FIELDS
    }
    if reasoning is not None and reasoning_field is not None:
        kept[reasoning_field] = reasoning
    if isinstance(content := kept.get("content"), list):
        kept["content"] = [_without_foreign(part) for part in content if not _is_foreign(part)]
    if kept.get("content") in (None, []) and not kept.get("tool_calls"):
        # A message of reasoning alone: without content, some servers refuse the conversation.
        kept["content"] = ""
    if isinstance(calls := kept.get("tool_calls"), list):
        kept["tool_calls"] = [_without_foreign(call) for call in calls]
    return kept


def _is_foreign(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _FOREIGN_PARTS


def _without_foreign(part: Any) -> Any:
    return (
        {key: value for key, value in part.items() if key not in _FOREIGN}
        if isinstance(part, dict)
        else part
    )


def _text(parts: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"] for part in parts)
