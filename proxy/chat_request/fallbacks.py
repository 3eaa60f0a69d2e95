"""The same question said so that a server's own parser and grammar cannot fail over it, or so
that its answer goes on.
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
_KEPT = frozenset(
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
_TOLD = frozenset(
    ("pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")
)
_TYPES = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
_OF_CHAT = (
    "messages",
    "response_format",
    "stream_options",
    "chat_template_kwargs",
    "reasoning_format",
    "add_generation_prompt",
)
_LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")
_FORMS = ("grammar", "json_schema")
_NOT_OF_A_PROMPT = frozenset((*_OF_TOOLS, *_OF_CHAT, "logprobs", "top_logprobs"))


def wants_a_call(body: dict[str, Any]) -> bool:
    """A call that must come is asked for natively: only a grammar can promise it."""
    choice = body.get("tool_choice")
    return choice == "required" or isinstance(choice, dict)


def fits_a_prompt(body: dict[str, Any]) -> bool:
    """Whether nothing is lost when the prompt alone is completed: one answer, of any form, to
    words alone.
    """
    return (
        _is_free(body)
        and body.get("n") in (None, 1)
        and all(_is_text(message) for message in body["messages"])
    )


def may_go_on(body: dict[str, Any]) -> bool:
    """A grammar begins anew with what it is asked for: nothing can be gone on with in the middle
    of its form.
    """
    return _is_free(body) and not any(body.get(key) for key in _FORMS)


def has_own_grammar(body: dict[str, Any]) -> bool:
    """Whether the client constrains the text itself while it offers tools: llama.cpp has one
    grammar at a time, and refuses.
    """
    return bool(body.get("grammar") and body.get("tools")) and body.get("tool_choice") != "none"


def raw(body: dict[str, Any]) -> dict[str, Any]:
    """The prompt stays as it is; llama.cpp's parser and grammar are off, and what the model
    writes comes as its text.
    """
    return body | {"tool_choice": "none", "reasoning_format": "none"}


def continued(body: dict[str, Any], content: str, thoughts: str, spent: int) -> dict[str, Any]:
    """What was said already stands at the end, as the beginning of the answer; so many tokens
    were spent on it.
    """
    said: dict[str, Any] = {"role": "assistant", "content": content}
    if thoughts:
        said["reasoning_content"] = thoughts
    limits = {
        key: max(body[key] - spent, 1)
        for key in _LIMITS
        if isinstance(body.get(key), int) and body[key] > 0
    }
    return body | limits | {"messages": [*body["messages"], said]}


def of_prompt(body: dict[str, Any], prompt: str, preserved: list[str]) -> dict[str, Any]:
    """The question as a plain text to be completed; `preserved` are the markers that must not
    vanish from what comes.
    """
    kept = {key: value for key, value in body.items() if key not in _NOT_OF_A_PROMPT}
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


def softened(body: dict[str, Any]) -> dict[str, Any]:
    """Schemas of tools without what makes a grammar fail or explode; what a rule said is said in
    words.
    """
    tools = body.get("tools")
    return (
        body | {"tools": [_soft_tool(tool) for tool in tools]} if isinstance(tools, list) else body
    )


def _soft_tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(schema := function.get("parameters"), dict):
        return tool
    return tool | {"function": function | {"parameters": _soft(schema, schema)}}


def _soft(schema: Any, root: dict[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return schema
    told = [
        f"{key}: {value}"
        for key, value in schema.items()
        if key in _TOLD or (key == "type" and not _is_type(value))
    ]
    soft = {
        key: _soft_part(key, value, root)
        for key, value in schema.items()
        if _is_kept(key, value, root)
    }
    if told:
        described = soft.get("description")
        rules = ", ".join(told)
        soft["description"] = (
            f"{described} ({rules})" if isinstance(described, str) and described else rules
        )
    return soft


def _is_kept(key: str, value: Any, root: dict[str, Any]) -> bool:
    if key == "$ref":
        return isinstance(value, str) and _resolves(value, root)
    return key in _KEPT and (key != "type" or _is_type(value))


def _soft_part(key: str, value: Any, root: dict[str, Any]) -> Any:
    if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
        return {name: _soft(part, root) for name, part in value.items()}
    if key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [_soft(part, root) for part in value]
    return _soft(value, root) if key in ("items", "additionalProperties") else value


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
