"""Builds the request body for a backend from the client's body and the backend's capabilities."""

from dataclasses import dataclass
from typing import Any, Literal

from proxy import exact_json
from proxy.chat_request import tool_choice
from proxy.chat_request.history import (
    end_with_user,
    join_text_parts,
    join_user_messages,
    normalize,
)
from proxy.chat_request.request import ChatRequest
from proxy.chat_request.tools import tool_name

_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = {"tool_choice": ("auto", "none"), "n": (1,)}

_ANY_OBJECT = {
    "type": "json_schema",
    "json_schema": {"name": "object", "schema": {"type": "object"}},
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind of backend supports; refined when a backend refuses something."""

    stream_options: bool = True  # supports `stream_options`
    progress: bool = False  # reports prompt progress (`return_progress`)
    # What it supports in `tool_choice`: a named tool, words only, or nothing.
    tool_choice: Literal["any", "words", "unread"] = "any"
    auto_tool_choice: bool = True  # accepts tools that the model may choose
    logprobs_beside_tools: bool = True  # streams logprobs beside tools
    max_completion_tokens: bool = True  # supports the field; all support `max_tokens`
    json_object: bool = True  # supports `json_object`; more support a schema
    reasoning_effort: bool = True  # supports the field for this model
    # Field for reasoning in the history; None: remove it.
    reasoning_field: Literal["reasoning_content", "reasoning"] | None = "reasoning_content"
    join_text: bool = False  # the text parts of a message must be joined
    consecutive_users: bool = True  # accepts consecutive user messages
    prefill: bool = True  # accepts an assistant message at the end
    dropped_fields: frozenset[str] = (
        frozenset()
    )  # fields that it refuses, and that no answer depends on
    ignored_fields: frozenset[str] = frozenset()  # silently ignored
    defaults: tuple[tuple[str, Any], ...] = ()  # replace harmful defaults of the backend


def build_body(request: ChatRequest, capabilities: Capabilities, model: str | None) -> bytes:
    """Return the request body for a backend.

    The backend is always asked to stream, with usage, so that there is one code path; unless it
    cannot stream this answer.
    """
    body: dict[str, Any] = (
        dict(capabilities.defaults)
        | request.body
        | {"stream": True, "stream_options": {"include_usage": True}}
    )
    if isinstance(options := request.body.get("stream_options"), dict):
        body["stream_options"] = options | {"include_usage": True}
    if model is not None:
        body["model"] = model
    body["messages"] = normalize(body["messages"], capabilities.reasoning_field)
    _drop_fields(body, capabilities.dropped_fields)
    _fix_roles(body, request, capabilities)
    _choose_tool(body, capabilities)
    _rename_fields(body, capabilities)
    if (
        not capabilities.logprobs_beside_tools
        and not request.streamed
        and body.get("logprobs")
        and body.get("tools")
    ):
        body["stream"] = False
    if not request.streamed and "audio" in (body.get("modalities") or ()):
        body["stream"] = False  # a whole response may contain more kinds of content
    if not capabilities.stream_options or not body["stream"]:
        del body["stream_options"]
    return exact_json.dumps(body)


def _drop_fields(body: dict[str, Any], refused: frozenset[str]) -> None:
    """Remove the fields that the backend refuses, and `tool_choice` if there are no tools."""
    for field in refused:
        body.pop(field, None)
    if not body.get("tools"):
        for field in ("tools", "parallel_tool_calls"):
            body.pop(field, None)
        if body.get("tool_choice") in ("auto", "none", None):
            body.pop("tool_choice", None)
    elif "strict" in refused:
        body["tools"] = [_without_strict(tool) for tool in body["tools"]]


def _without_strict(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    return tool | {"function": {key: value for key, value in function.items() if key != "strict"}}


def _fix_roles(body: dict[str, Any], request: ChatRequest, capabilities: Capabilities) -> None:
    """Adapt the roles of the last messages.

    OpenCode ends its last step with an assistant message and `tool_choice: "none"`: an instruction,
    not a prefill.
    """
    if not capabilities.prefill and request.tool_choice.mode == "none":
        body["messages"] = end_with_user(body["messages"])
    if not capabilities.consecutive_users:
        body["messages"] = join_user_messages(body["messages"])


def output_limit(request: ChatRequest) -> int | None:
    """Return the limit of tokens for all choices together, or None if the client sets none."""
    given = [
        request.body.get(field) for field in ("max_tokens", "max_completion_tokens", "n_predict")
    ]
    limits = [
        limit
        for limit in given
        if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    ]
    return max(limits) * request.choices if limits else None


def ignored_by(request: ChatRequest, capabilities: Capabilities) -> list[str]:
    """Return the fields of the request that the backend ignores."""
    return sorted(
        field
        for field in capabilities.ignored_fields
        if request.body.get(field) not in (None, *_HARMLESS_VALUES.get(field, ()))
    )


def _rename_fields(body: dict[str, Any], capabilities: Capabilities) -> None:
    if capabilities.join_text:
        body["messages"] = join_text_parts(body["messages"])
    if capabilities.progress:
        body["return_progress"] = True
    if (
        not capabilities.max_completion_tokens
        and (limit := body.pop("max_completion_tokens", None)) is not None
    ):
        body.setdefault("max_tokens", limit)
    form = body.get("response_format")
    if (
        not capabilities.json_object
        and isinstance(form, dict)
        and form.get("type") == "json_object"
    ):
        body["response_format"] = _ANY_OBJECT
    if not capabilities.reasoning_effort:
        body.pop("reasoning_effort", None)


def _choose_tool(body: dict[str, Any], capabilities: Capabilities) -> None:
    """Adapt `tool_choice`.

    If the backend supports words only, offer the named tools and require a call. If it supports
    nothing, offer only the tools that may be called.
    """
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and capabilities.tool_choice != "any":
        named = tool_choice.parse(body)
        if named.names is not None:
            body["tools"], body["tool_choice"] = (
                [tool for tool in body["tools"] if tool_name(tool) in named.names],
                named.mode,
            )
    elif choice == "none" and capabilities.tool_choice == "unread":
        body.pop("tools", None)
    elif choice in (None, "auto") and body.get("tools") and not capabilities.auto_tool_choice:
        body["tool_choice"] = "none"
