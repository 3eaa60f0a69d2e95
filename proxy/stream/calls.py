"""The one writer of calls: whatever a dialect reads, its arguments leave as one compact JSON object, typed by the tool's schema."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.stream.events import CallArguments, CallEnd, CallStart, TextEvent
from proxy.stream.json_text import escaped
from proxy.stream.schema import Kinds, properties, quote, typed

NAME = re.compile(r"[^\W_][\w.:/@-]{0,127}|_[\w.:/@-]{0,127}")
APART = re.compile(r"[-_. ]+")
UNDECIDED = 64
"""A value that may be a string or something short (null, a number) is a string once it is longer."""


class Tools:
    """The tools of a request. What is no usable entry is passed over."""

    def __init__(self, tools: object = ()) -> None:
        self._kinds: dict[str, dict[str, Kinds]] = {}
        self._alike: dict[str, str | None] = {}  # None: several are alike
        for entry in tools if isinstance(tools, (list, tuple)) else ():
            function = entry.get("function", entry) if isinstance(entry, Mapping) else None
            if isinstance(function, Mapping) and isinstance(name := function.get("name"), str) and name:
                self._kinds[name] = properties(function.get("parameters"))
                alike = _alike(name)
                self._alike[alike] = name if self._alike.get(alike, name) == name else None

    def __bool__(self) -> bool:
        return bool(self._kinds)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._kinds)

    def declared(self, name: str) -> str | None:
        """The declared name that a model meant, whatever it did to case, separators and the `functions.` before it."""
        for form in (name, name.removeprefix("functions.")):
            if form in self._kinds:
                return form
            if found := self._alike.get(_alike(form)):
                return found
        return None

    def kinds(self, name: str) -> Mapping[str, Kinds]:
        return self._kinds.get(name, {})


def _alike(name: str) -> str:
    return APART.sub("_", name).lower()


class Calls:
    """Where a grammar writes what it has read. Nothing leaves before the first `start`: that is when a grammar is sure."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.count = 0
        self.open = False
        self.broken = False
        self.kinds: Mapping[str, Kinds] = {}
        self._events: list[TextEvent] = []
        self._pieces: list[str] = []
        self._written = False

    def name(self, text: str) -> str | None:
        """The tool that a name means; an undeclared one is forwarded if it can be a name at all."""
        name = text.strip()
        return self.tools.declared(name) or (name.removeprefix("functions.") if NAME.fullmatch(name) else None)

    def start(self, name: str, id: str | None = None) -> None:
        self._events.append(CallStart(self.count, id, name))
        self.kinds = self.tools.kinds(name)
        self.open, self._written = True, False
        self.count += 1

    def write(self, text: str) -> None:
        """A piece of the arguments' JSON."""
        self._pieces.append(text)

    def key(self, name: str) -> None:
        self._pieces.append(("," if self._written else "{") + quote(name) + ":")
        self._written = True

    def end(self) -> None:
        """The call is whole. Only now the last brace leaves: a client runs a tool as soon as its arguments parse."""
        self._pieces.append("}" if self._written else "{}")
        self._close(whole=True)

    def abort(self) -> None:
        """The call broke off."""
        self.broken = True
        self._close(whole=False)

    def withdraw(self) -> None:
        """It was no call after all: only for a grammar that is believed when it has read everything."""
        self.count = 0
        self._events.clear()

    def _close(self, *, whole: bool) -> None:
        self._flush()
        self._events.append(CallEnd(self.count - 1, whole))
        self.open = False

    def _flush(self) -> None:
        if text := "".join(self._pieces):
            self._events.append(CallArguments(self.count - 1, text))
        self._pieces.clear()

    def taken(self) -> list[TextEvent]:
        """What was written since the last time."""
        self._flush()
        events, self._events = self._events, []
        return events


class RawValue:
    """A parameter written as raw text. It leaves at once if it can only be a string, and when it ended if it may be something else."""

    def __init__(self, calls: Calls, name: str) -> None:
        self._calls = calls
        self._kinds = calls.kinds.get(name, frozenset())
        self._string = self._kinds <= {"string"}
        self._held: list[str] = []
        self._size = 0
        self._first = ""  # the first letter that is no blank
        self._tail = ""
        calls.key(name)
        if self._string:
            calls.write('"')

    def write(self, text: str) -> None:
        """One newline at the end belongs to the markup: the last one waits."""
        text = self._tail + text
        body = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text.removesuffix("\r")
        self._tail = text[len(body) :]
        self._body(body)

    def end(self) -> None:
        if self._tail == "\r":
            self._body("\r")
        if self._string:
            self._calls.write('"')
        else:
            self._calls.write(typed("".join(self._held), self._kinds))

    def _body(self, text: str) -> None:
        if self._string:
            self._calls.write(escaped(text))
            return
        self._held.append(text)
        self._size += len(text)
        self._first = self._first or text.lstrip()[:1]
        if self._size > UNDECIDED and "string" in self._kinds and not self._structured():
            self._string = True
            self._calls.write('"' + escaped("".join(self._held)))
            self._held.clear()

    def _structured(self) -> bool:
        return self._first in ("{", "[", "(", "") and bool(self._kinds & {"object", "array"})


def entries(events: Iterable[TextEvent]) -> list[dict[str, Any]]:
    """The calls among the events as an OpenAI message lists them, without ids."""
    calls: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, CallStart):
            calls.append({"id": event.id, "type": "function", "function": {"name": event.name, "arguments": []}})
        elif isinstance(event, CallArguments):
            calls[event.index]["function"]["arguments"].append(event.text)
    for call in calls:
        call["function"]["arguments"] = "".join(call["function"]["arguments"])
    return calls
