"""The body that the backend gets: the client's, with what this backend needs said its own way."""

from dataclasses import dataclass
from typing import Any

import orjson

from proxy.requests.question import Question


@dataclass(frozen=True, slots=True)
class Needs:
    """What a backend is asked for, and what it would misunderstand: found out by probing it."""

    stream_options: bool = True  # it knows the field; some refuse what they do not know
    progress: bool = False  # it tells how far it has read the prompt (return_progress)
    named_tool: bool = True  # it understands a tool_choice that names the tool
    logprobs_beside_tools: bool = True  # it streams logprobs where tools are declared


def prepare(question: Question, needs: Needs, model: str | None) -> bytes:
    """Always asked to stream, with usage: one road. The exception is what the backend refuses to stream."""
    body: dict[str, Any] = question.body | {"stream": True, "stream_options": {"include_usage": True}}
    if isinstance(options := question.body.get("stream_options"), dict):
        body["stream_options"] = options | {"include_usage": True}
    if model is not None:
        body["model"] = model
    if needs.progress:
        body["return_progress"] = True
    if not needs.named_tool:
        _name_tool(body)
    if not needs.logprobs_beside_tools and not question.streamed and body.get("logprobs") and body.get("tools"):
        body["stream"] = False
    if not needs.stream_options or not body["stream"]:
        del body["stream_options"]
    return orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def _name_tool(body: dict[str, Any]) -> None:
    """llama.cpp reads only a word here and takes an object for "auto": offer that one tool and require a call."""
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else choice.get("name")
    named = [tool for tool in body.get("tools") or [] if isinstance(tool, dict) and name is not None and _name(tool) == name]
    if named:
        body["tools"], body["tool_choice"] = named, "required"


def _name(tool: dict[str, Any]) -> Any:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else None
