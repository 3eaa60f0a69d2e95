"""What a backend answered, read by its shape and not by its kind: chunks of a stream, or a whole completion as one big delta."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from proxy.stream.events import Content, Event, Failed, Finish, Logprobs, Progress, Reasoning, Usage
from proxy.stream.native import NativeCalls

Said: TypeAlias = tuple[int, Event]
"""An event and the choice it belongs to."""


class Reply:
    """One per answer: it remembers which calls of which choice have begun."""

    def __init__(self) -> None:
        self._calls: dict[int, NativeCalls] = {}

    def read(self, chunk: dict[str, Any]) -> Iterator[Said]:
        if error := chunk.get("error"):
            yield 0, Failed(error)
            return
        if isinstance(progress := chunk.get("prompt_progress"), dict):
            yield 0, Progress(_count(progress.get("processed")), _count(progress.get("total")))
        choices = chunk.get("choices")
        for at, choice in enumerate(choices if isinstance(choices, list) else []):
            if isinstance(choice, dict):
                index = choice.get("index")
                yield from self._choice(index if isinstance(index, int) else at, choice)
        if choices is None and isinstance(text := chunk.get("content"), str):
            yield from self._completed(text, chunk)
        if isinstance(usage := chunk.get("usage"), dict):
            yield 0, _usage(usage)

    def _completed(self, text: str, chunk: dict[str, Any]) -> Iterator[Said]:
        """llama.cpp's own route for plain text."""
        if text:
            yield 0, Content(text)
        if chunk.get("stop") is True:
            yield 0, Finish("length" if chunk.get("stop_type") == "limit" else "stop")
            timings = chunk.get("timings")
            cached = _count(timings.get("cache_n")) if isinstance(timings, dict) else 0
            yield 0, Usage(_count(chunk.get("tokens_evaluated")), _count(chunk.get("tokens_predicted")), cached)

    def _choice(self, index: int, choice: dict[str, Any]) -> Iterator[Said]:
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict):
            yield from self._delta(index, said)
        if isinstance(logprobs := choice.get("logprobs"), dict):
            yield index, Logprobs(logprobs)
        if isinstance(reason := choice.get("finish_reason"), str):
            if index in self._calls:
                for event in self._calls[index].end(reason):
                    yield index, event
            yield index, Finish(reason)

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterator[Said]:
        for key in ("reasoning_content", "reasoning"):
            if isinstance(thought := delta.get(key), str) and thought:
                yield index, Reasoning(thought)
                break
        if text := _text(delta.get("content")):
            yield index, Content(text)
        if isinstance(tool_calls := delta.get("tool_calls"), list) and tool_calls:
            calls = self._calls.setdefault(index, NativeCalls())
            for call in tool_calls:
                for event in calls.feed(call) if isinstance(call, dict) else ():
                    yield index, event


def _text(content: Any) -> str:
    if isinstance(content, list):  # parts, as some servers echo them
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _usage(usage: dict[str, Any]) -> Usage:
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = prompt.get("cached_tokens") if isinstance(prompt, dict) else usage.get("cached_tokens")
    reasoning = completion.get("reasoning_tokens") if isinstance(completion, dict) else None
    return Usage(
        prompt=_count(usage.get("prompt_tokens")),
        completion=_count(usage.get("completion_tokens")),
        cached=_count(cached),
        reasoning=reasoning if isinstance(reasoning, int) else None,
    )
