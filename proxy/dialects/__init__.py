"""How models write calls and thoughts. One small file each; this is the one list, in order of trial."""

from collections.abc import Iterable, Mapping
from typing import Any

from proxy.dialects import hermes, qwen3_coder
from proxy.dialects.thoughts import THOUGHTS
from proxy.stream import parser
from proxy.stream.calls import entries
from proxy.stream.dialect import Dialect
from proxy.stream.events import Content, Reasoning
from proxy.stream.ids import new_id
from proxy.stream.parser import ThinkingMode

DIALECTS: Mapping[str, Dialect] = {one.name: one for one in (qwen3_coder.DIALECT, hermes.DIALECT)}


def chosen(dialect: str | Iterable[str]) -> list[Dialect]:
    """The dialects that a setting names: `auto` for all of them, one, or several."""
    names = [dialect] if isinstance(dialect, str) else list(dialect)
    if unknown := [name for name in names if name != "auto" and name not in DIALECTS]:
        raise ValueError(f"unknown dialect {', '.join(map(repr, unknown))}: auto, or any of {', '.join(DIALECTS)}")
    return [one for name, one in DIALECTS.items() if "auto" in names or name in names]


class Parser(parser.Parser):
    """A parser that knows the dialects by name."""

    def __init__(self, tools: object = (), dialect: str | Iterable[str] = "auto", thinking: ThinkingMode = "tags") -> None:
        super().__init__(tools, dialects=chosen(dialect), thoughts=THOUGHTS, thinking=thinking)


def parse(text: str, *, tools: object = (), dialect: str | Iterable[str] = "auto", thinking: ThinkingMode = "tags") -> dict[str, Any]:
    """A whole answer as an OpenAI assistant message."""
    reader = Parser(tools, dialect, thinking)
    events = [*reader.feed(text), *reader.close()]
    calls = entries(events)
    content = "".join(event.text for event in events if isinstance(event, Content))
    thoughts = "".join(event.text for event in events if isinstance(event, Reasoning))
    message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls or thoughts else "")}
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message["tool_calls"] = [{**call, "id": call["id"] or new_id("call_")} for call in calls]
    return message
