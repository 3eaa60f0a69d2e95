"""The earlier messages of a conversation, as the backend that is asked now can read them.

Thoughts stand there under the name that our clients use, and the backend may know another. What is encrypted or signed can be
read only by the server that made it, and we never hand such a thing to a client: where it stands, another server made it.
"""

from typing import Any

THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text")
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


def readable(messages: list[Any], thoughts: str | None) -> list[Any]:
    return [_assistant(message, thoughts) if _is_assistant(message) else message for message in messages]


def with_joined_text(messages: list[Any]) -> list[Any]:
    """Parts that are nothing but text as one text: some servers take each part for a message."""
    return [message | {"content": _text(message["content"])} if _is_in_parts(message) else message for message in messages]


def _is_assistant(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"


def _is_in_parts(message: Any) -> bool:
    parts = message.get("content") if isinstance(message, dict) else None
    return isinstance(parts, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)


def _assistant(message: dict[str, Any], thoughts: str | None) -> dict[str, Any]:
    thought = next((message[key] for key in THOUGHTS if isinstance(message.get(key), str)), None)
    kept = {key: value for key, value in message.items() if key not in _FOREIGN and key not in THOUGHTS}
    if thought is not None and thoughts is not None:
        kept[thoughts] = thought
    if isinstance(content := kept.get("content"), list):
        kept["content"] = [part for part in content if not isinstance(part, dict) or part.get("type") not in _FOREIGN_PARTS]
    if isinstance(calls := kept.get("tool_calls"), list):
        kept["tool_calls"] = [_without_foreign(call) for call in calls]
    return kept


def _without_foreign(call: Any) -> Any:
    return {key: value for key, value in call.items() if key not in _FOREIGN} if isinstance(call, dict) else call


def _text(parts: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"] for part in parts)
