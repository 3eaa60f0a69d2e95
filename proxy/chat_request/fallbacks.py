"""Variants of a request for recovery: without the backend's parser, with relaxed schemas, or
with a prefill.
"""

from typing import Any

_SUBSCHEMAS = (
    "properties",
    "$defs",
    "definitions",
    "anyOf",
    "oneOf",
    "allOf",
    "prefixItems",
    "items",
    "additionalProperties",
)
_KEPT_KEYWORDS = frozenset(
    (
        *_SUBSCHEMAS,
        "type",
        "required",
        "enum",
        "const",
        "description",
        "title",
        "default",
        "nullable",
    )
)
_DESCRIBED_RULES = frozenset(
    ("pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")
)
_TYPES = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
_CHAT_FIELDS = (
    "messages",
    "response_format",
    "stream_options",
    "chat_template_kwargs",
    "reasoning_format",
    "add_generation_prompt",
)
_LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")
_FORMS = ("grammar", "json_schema")
_NOT_FOR_COMPLETION = frozenset((*_TOOL_FIELDS, *_CHAT_FIELDS, "logprobs", "top_logprobs"))


def requires_tool_call(body: dict[str, Any]) -> bool:
    """Return whether a call is required; only the backend's own grammar can guarantee one."""
    choice = body.get("tool_choice")
    return choice == "required" or isinstance(choice, dict)


def can_use_completion(body: dict[str, Any]) -> bool:
    """Return whether completing the prompt alone loses nothing: one answer, free form, text
    only.
    """
    return (
        _is_free(body)
        and body.get("n") in (None, 1)
        and all(_is_text(message) for message in body["messages"])
    )


def can_prefill(body: dict[str, Any]) -> bool:
    """Return whether the answer may be continued: a grammar would start again in the middle."""
    return _is_free(body) and not any(body.get(key) for key in _FORMS)


def has_own_grammar(body: dict[str, Any]) -> bool:
    """Return whether the client sets a grammar beside tools, which llama.cpp refuses."""
    return bool(body.get("grammar") and body.get("tools")) and body.get("tool_choice") != "none"


def without_parser(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body for the same prompt with llama.cpp's parser and grammar off.

    The model's output then arrives as text.
    """
    return body | {"tool_choice": "none", "reasoning_format": "none"}


def with_prefill(
    body: dict[str, Any], content: str, reasoning: str, prefill_tokens: int
) -> dict[str, Any]:
    """Return the body with the answer so far as its last message, and reduced token limits."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    limits = {
        key: max(body[key] - prefill_tokens, 1)
        for key in _LIMITS
        if isinstance(body.get(key), int) and body[key] > 0
    }
    return body | limits | {"messages": [*body["messages"], message]}


def completion_body(body: dict[str, Any], prompt: str, preserved: list[str]) -> dict[str, Any]:
    """Return the body for `/completion`; `preserved` are the markers that must not be stripped."""
    kept = {key: value for key, value in body.items() if key not in _NOT_FOR_COMPLETION}
    if (limit := kept.pop("max_completion_tokens", None)) is not None:
        kept["max_tokens"] = limit
    return kept | {
        "prompt": prompt,
        "preserved_tokens": preserved,
        "stream": True,
        "return_progress": True,
    }


def _is_free(body: dict[str, Any]) -> bool:
    form = body.get("response_format")
    return form is None or (isinstance(form, dict) and form.get("type") == "text")


def _is_text(message: Any) -> bool:
    parts = message.get("content") if isinstance(message, dict) else None
    return not isinstance(parts, list) or all(
        isinstance(part, dict) and part.get("type") == "text" for part in parts
    )


def relax_schemas(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with simpler tool schemas, which do not break a grammar.

    Removed rules are added to the descriptions.
    """
    tools = body.get("tools")
    return (
        body | {"tools": [_relax_tool(tool) for tool in tools]} if isinstance(tools, list) else body
    )


def _relax_tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(schema := function.get("parameters"), dict):
        return tool
    return tool | {"function": function | {"parameters": _relax(schema, schema)}}


def _relax(schema: Any, root: dict[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return schema
    rules_as_text = [
        f"{key}: {value}"
        for key, value in schema.items()
        if key in _DESCRIBED_RULES or (key == "type" and not _is_type(value))
    ]
    relaxed = {
        key: _relax_part(key, value, root)
        for key, value in schema.items()
        if _is_kept(key, value, root)
    }
    if rules_as_text:
        described = relaxed.get("description")
        rules = ", ".join(rules_as_text)
        relaxed["description"] = (
            f"{described} ({rules})" if isinstance(described, str) and described else rules
        )
    return relaxed


def _is_kept(key: str, value: Any, root: dict[str, Any]) -> bool:
    if key == "$ref":
        return isinstance(value, str) and _resolves(value, root)
    return key in _KEPT_KEYWORDS and (key != "type" or _is_type(value))


def _relax_part(key: str, value: Any, root: dict[str, Any]) -> Any:
    if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
        return {name: _relax(part, root) for name, part in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [_relax(part, root) for part in value]
    return _relax(value, root) if key in ("items", "additionalProperties") else value


def _is_type(value: Any) -> bool:
    named = value if isinstance(value, list) else [value]
    return all(isinstance(one, str) and one in _TYPES for one in named)


def _resolves(pointer: str, root: dict[str, Any]) -> bool:
    if not pointer.startswith("#"):
        return False
    at: Any = root
    for step in filter(None, pointer[1:].split("/")):
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(at, dict) or step not in at:
            return False
        at = at[step]
    return True
