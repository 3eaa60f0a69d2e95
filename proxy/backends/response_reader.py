"""Reader for the JSON of an answer, which goes by its shape and not by the kind of backend.

Reads the chunks of a stream as well as whole completions.
"""

from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

from proxy.backends.native_calls import NativeCallReader
from proxy.chat_request.tools import DeclaredNames
from proxy.parsing.events import (
    CallEnd,
    Content,
    ErrorEvent,
    Event,
    Finish,
    Logprobs,
    Passthrough,
    Progress,
    Reasoning,
    Usage,
)
from proxy.parsing.schema import ValueSchema

ChoiceEvent: TypeAlias = tuple[int, Event]
"""Index of a choice, and one event of that choice."""


_PASSTHROUGH_FIELDS = ("refusal", "annotations", "audio")
_NAMELESS_ERROR = {
    "message": "the backend sent a tool call without a name",
    "code": 502,
}


class ResponseReader:
    """Converter of the chunks of one answer into events."""

    def __init__(self, tools: tuple[Any, ...] = ()) -> None:
        self._names = DeclaredNames(tools)
        self._schemas: dict[str, ValueSchema | None] = {}
        self._calls: dict[int, NativeCallReader] = {}
        # Choices that have `tool_calls`; there a `function_call` is a duplicate and is ignored.
        self._with_tool_calls: set[int] = set()
        # The fields seen in the deltas and in the messages of each choice.
        self._seen_fields: dict[int, tuple[set[str], set[str]]] = {}
        # Whether an earlier object had choices and was not a whole completion.
        self._in_chunks = False
        self._ends_with_usage = False  # the last object contained only usage

    def read(self, chunk: dict[str, Any]) -> Iterator[ChoiceEvent]:
        if error := chunk.get("error") or _unlabelled_error(chunk):
            yield 0, ErrorEvent(error)
            return
        if isinstance(progress := chunk.get("prompt_progress"), dict):
            yield 0, Progress(_count(progress.get("processed")), _count(progress.get("total")))
        choices = chunk.get("choices")
        is_whole = chunk.get("object") == "chat.completion"
        for at, choice in enumerate(choices if isinstance(choices, list) else []):
            if isinstance(choice, dict):
                index = choice.get("index")
                yield from self._choice(
                    index if isinstance(index, int) else at,
                    choice,
                    repeats=is_whole and self._in_chunks,
                )
        if choices is None and isinstance(text := chunk.get("content"), str):
            yield from self._plain_completion(text, chunk)
        if usage := _usage_in(chunk):
            yield 0, _usage(usage, chunk)
        self._in_chunks = self._in_chunks or (bool(choices) and not is_whole)
        self._ends_with_usage = usage is not None and not choices

    def end(self) -> Iterator[ChoiceEvent]:
        """Finish choices with complete calls at the end of a stream without finish reasons.

        Only if the stream ended with its usage, which shows that it was not cut off.
        """
        for index, calls in self._calls.items() if self._ends_with_usage else ():
            if calls.are_whole:
                yield from self._finish(index, "tool_calls")

    def _plain_completion(self, text: str, chunk: dict[str, Any]) -> Iterator[ChoiceEvent]:
        """Read an object in the format of llama.cpp's `/completion` route, which has no choices."""
        if text:
            yield 0, Content(text)
        if chunk.get("stop") is True:
            yield 0, Finish("length" if chunk.get("stop_type") == "limit" else "stop")
            prompt = _count(chunk.get("tokens_evaluated"))
            yield (
                0,
                Usage(prompt, _count(chunk.get("tokens_predicted")), _cached_tokens(chunk, prompt)),
            )

    def _choice(
        self, index: int, choice: dict[str, Any], *, repeats: bool
    ) -> Iterator[ChoiceEvent]:
        """Read a choice, and skip fields that repeat earlier ones.

        `repeats` means that this object is a whole completion after chunks, which MiniMax sends at
        the end of a stream. A `message` after deltas repeats them as well.
        """
        in_deltas, in_messages = self._seen_fields.get(index) or self._seen_fields.setdefault(
            index, (set(), set())
        )
        delta, message, logprobs = (
            choice.get("delta"),
            choice.get("message"),
            choice.get("logprobs"),
        )
        if isinstance(delta, dict) and delta:
            yield from self._delta(
                index, delta, in_deltas, in_deltas | in_messages if repeats else ()
            )
        if isinstance(message, dict):
            yield from self._delta(
                index, message, in_messages, in_deltas | in_messages if repeats else in_deltas
            )
        if isinstance(logprobs, dict) and not (repeats and "logprobs" in in_deltas):
            in_deltas.add("logprobs")
            yield index, Logprobs(logprobs)
        # Some backends send "" in every chunk.
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            yield from self._finish(index, reason)

    def _finish(self, index: int, reason: str) -> Iterator[ChoiceEvent]:
        if (calls := self._calls.get(index)) is not None:
            ends = calls.end(reason)
            yield from ((index, event) for event in ends)
            if calls.has_nameless(reason):
                yield index, ErrorEvent(_NAMELESS_ERROR)
                return
            if reason != "content_filter" and any(
                isinstance(event, CallEnd) and not event.whole for event in ends
            ):
                reason = "length"  # llama-cpp-python reports a call that was cut off as complete
        yield index, Finish(reason)

    def _delta(
        self, index: int, delta: dict[str, Any], known: set[str], left_out: Collection[str]
    ) -> Iterator[ChoiceEvent]:
        """Read a delta except the fields in `left_out`, and add the others' names to `known`.

        The name `calls` covers both `tool_calls` and `function_call`.
        """
        if "reasoning" not in left_out and (thought := _reasoning_text(delta)):
            known.add("reasoning")
            yield index, Reasoning(thought)
        if "content" not in left_out and (text := _text(delta.get("content"))):
            known.add("content")
            yield index, Content(text)
        if beside := {
            key: delta[key] for key in _PASSTHROUGH_FIELDS if delta.get(key) and key not in left_out
        }:
            known.update(beside)
            yield index, Passthrough(beside)
        if "calls" not in left_out and (delta.get("tool_calls") or delta.get("function_call")):
            yield from self._tool_calls(index, delta, known)

    def _tool_calls(
        self, index: int, delta: dict[str, Any], known: set[str]
    ) -> Iterator[ChoiceEvent]:
        tool_calls, function_call = delta.get("tool_calls"), delta.get("function_call")
        if isinstance(tool_calls, list) and tool_calls:
            self._with_tool_calls.add(index)
        elif isinstance(function_call, dict) and index not in self._with_tool_calls:
            tool_calls = [{"index": 0, "function": function_call}]
        else:
            return
        known.add("calls")
        if (calls := self._calls.get(index)) is None:
            calls = self._calls[index] = NativeCallReader(self._schema)
        for call in tool_calls:
            for event in calls.feed(call) if isinstance(call, dict) else ():
                yield index, event

    def _schema(self, name: str) -> ValueSchema | None:
        """Return the schema of the arguments of tool `name`, or None if nothing is converted."""
        if name not in self._schemas:
            declared = self._names.parameters(name)
            schema = ValueSchema([declared], declared)
            self._schemas[name] = schema if schema.may_convert else None
        return self._schemas[name]


def _unlabelled_error(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error in a chunk that has no `error` field, or None.

    vLLM before 0.10.1 sends a flat error object. Ollama loses the text of an error in the middle of
    an answer, and sends a chunk without a model name.
    """
    if chunk.get("object") == "error":
        return chunk
    if chunk.get("system_fingerprint") == "fp_ollama" and chunk.get("model") == "":
        return {
            "message": (
                "the backend failed without an error message; see its log (connection lost)"
            )
        }
    return None


def _reasoning_text(delta: dict[str, Any]) -> str:
    for key in ("reasoning_content", "reasoning"):
        if isinstance(thought := delta.get(key), str) and thought:
            return thought
    if isinstance(details := delta.get("reasoning_details"), list):
        return "".join(
            _text(item.get("text") or item.get("summary"))
            for item in details
            if isinstance(item, dict)
        )
    parts = delta.get("content")  # Mistral puts reasoning into the parts of the content
    return (
        "".join(_text(part.get("thinking")) for part in parts if isinstance(part, dict))
        if isinstance(parts, list)
        else ""
    )


def _text(content: Any) -> str:
    if isinstance(content, list):  # a list of parts, as some servers send
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def _usage_in(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """Return the usage from the chunk, from one of its choices (Moonshot), or from `x_groq`."""
    choices, corner = chunk.get("choices"), chunk.get("x_groq")
    places = [chunk, *(choices if isinstance(choices, list) else []), corner]
    found = (place.get("usage") for place in places if isinstance(place, dict))
    return next(
        (usage for usage in found if isinstance(usage, dict) and "prompt_tokens" in usage), None
    )


def _cached_tokens(chunk: dict[str, Any], prompt: int) -> int:
    """Return the number of cached prompt tokens that the `timings` of llama.cpp report.

    Older builds report only how many of the `prompt` tokens were processed.
    """
    timings = chunk.get("timings")
    if not isinstance(timings, dict):
        return 0
    read = _count(timings.get("prompt_n"))
    return _count(timings.get("cache_n")) or (max(prompt - read, 0) if read else 0)


def _usage(usage: dict[str, Any], chunk: dict[str, Any]) -> Usage:
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = [
        prompt.get("cached_tokens") if isinstance(prompt, dict) else None,
        usage.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),
        _cached_tokens(chunk, _count(usage.get("prompt_tokens"))),
    ]
    reasoning = (
        completion.get("reasoning_tokens")
        if isinstance(completion, dict)
        else usage.get("reasoning_tokens")
    )
    return Usage(
        prompt=_count(usage.get("prompt_tokens")),
        completion=_count(usage.get("completion_tokens")),
        cached=max(_count(number) for number in cached),
        reasoning=reasoning if isinstance(reasoning, int) else None,
    )
