"""Calls that the backend parsed itself, in whatever pieces it hands them over, as the same events that our own parser makes.

One per choice. The arguments pass as they are, but for three things: what is no object yet may become one (`null`, an
object, an object inside a string), the last brace waits until the call is known to be whole, and a name or an id that
is said again is not said twice to the client.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from proxy.stream.events import CallArguments, CallEnd, CallStart, TextEvent

_PLAIN = re.compile(r'[^"{}\[\]]*')
_IN_STRING = re.compile(r'[^"\\]*')


class Arguments:
    """The text of one JSON object in pieces; what `feed` gives out is never a whole object, `end` gives the rest."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._begun = False
        self.closed = False

    def feed(self, text: str) -> str:
        if not self._begun and not self.closed:
            text = "".join([*self._held, text]).lstrip() if len(self._held) < 2 else text
            self._held = []
            self._begun = text.startswith("{")
        if not self._begun or self.closed:
            self._held.append(text)
            return ""
        end = self._scan(text)
        if self.closed:
            self._held.append(text[end:])
        return text[:end]

    def end(self) -> str:
        rest = "".join(self._held)
        self._held = []
        if self._begun:
            return rest.rstrip()
        return _as_object(rest)

    @property
    def is_half(self) -> bool:
        """It begins as an object, and its end has not come."""
        return self._begun and not self.closed

    def _scan(self, text: str) -> int:
        """Where the brace stands that closes the object, or the end of the text."""
        at, size = 0, len(text)
        if self._escaped and size:
            at, self._escaped = 1, False
        while at < size:
            match = (_IN_STRING if self._in_string else _PLAIN).match(text, at)
            assert match is not None  # both patterns match the empty text
            at = match.end()
            if at == size:
                break
            letter = text[at]
            if letter == '"':
                self._in_string = not self._in_string
            elif letter == "\\":
                at += 1
                self._escaped = at == size
            elif letter in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    self.closed = True
                    return at
            at += 1
        return size


def _as_object(text: str) -> str:
    text = text.strip()
    if text in ("", "null"):
        return "{}"
    try:
        inner = json.loads(text)
        if isinstance(inner, str) and isinstance(json.loads(inner), dict):
            return inner
    except ValueError:
        pass
    return text


@dataclass
class _Call:
    index: int
    id: str | None = None
    name: str = ""
    started: bool = False
    ended: bool = False
    arguments: Arguments = field(default_factory=Arguments)


class NativeCalls:
    def __init__(self) -> None:
        self._calls: dict[object, _Call] = {}
        self._closed: dict[int, _Call] = {}  # complete, and whole as soon as another call begins
        self._last: _Call | None = None

    def feed(self, delta: dict[str, Any]) -> list[TextEvent]:
        function = delta.get("function")
        said = function if isinstance(function, dict) else delta if "name" in delta else {}
        call, events = self._which(delta, said)
        if call.ended:
            return events
        if isinstance(given := delta.get("id"), str) and given:
            call.id = call.id or given
        if isinstance(name := said.get("name"), str):
            call.name = name if name.startswith(call.name) else call.name if call.started else call.name + name
        arguments = said.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        if isinstance(arguments, str) and arguments and call.name:
            events += self._start(call)
            if text := call.arguments.feed(arguments):
                events.append(CallArguments(call.index, text))
            if call.arguments.closed:
                self._closed[call.index] = call
        return events

    def end(self, finish: str) -> list[TextEvent]:
        """The backend says that the choice is finished: what it began is whole, unless it was cut."""
        events: list[TextEvent] = []
        for call in self._calls.values():
            if not call.name or call.ended:
                continue
            events += self._start(call)
            call.ended, is_half = True, finish == "length" or call.arguments.is_half
            events += [CallEnd(call.index, whole=False)] if is_half else self._finish(call)
        return events

    def _which(self, delta: dict[str, Any], said: dict[str, Any]) -> tuple[_Call, list[TextEvent]]:
        """The call that a delta speaks of; a new one shows that those before it that are complete are whole."""
        index, given = delta.get("index"), delta.get("id")
        new_id = isinstance(given, str) and given != ""
        key: object
        if isinstance(index, int):
            key = index
            known = self._calls.get(key)
            if known is not None and new_id and known.id is not None and known.id != given:
                key = (index, given)  # one index for two calls: the id tells them apart
            elif known is not None and not new_id and known.arguments.closed and said.get("name") and said.get("arguments"):
                self._calls[index, len(self._calls)] = self._calls.pop(index)  # or, without ids, that the one before was complete
        elif new_id:
            key = given
        elif self._last is not None and not (said.get("name") and self._last.arguments.closed):
            return self._last, []
        else:
            key = len(self._calls)
        if key in self._calls:
            self._last = self._calls[key]
            return self._last, []
        events = [event for call in self._closed.values() if not call.ended for event in self._finish(call)]
        self._closed.clear()
        self._last = self._calls[key] = _Call(len(self._calls))
        return self._last, events

    def _start(self, call: _Call) -> list[TextEvent]:
        if call.started:
            return []
        call.started = True
        return [CallStart(call.index, call.id, call.name, "native")]

    def _finish(self, call: _Call) -> list[TextEvent]:
        call.ended = True
        rest = call.arguments.end()
        return [*([CallArguments(call.index, rest)] if rest else []), CallEnd(call.index, whole=True)]
