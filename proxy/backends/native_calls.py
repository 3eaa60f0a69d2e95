"""Converts calls that the backend parsed into the same events that our parser makes.

One reader per choice. A repeated name or id does not reach the client twice. See `native_arguments`
for the arguments.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from proxy.backends.native_arguments import NativeArguments
from proxy.parsing.events import CallArguments, CallEnd, CallStart, TextEvent
from proxy.parsing.schema import ValueSchema
from proxy.parsing.window import HELD_LIMIT

SchemaOf: TypeAlias = Callable[[str], ValueSchema | None]
"""Returns the schema of a tool's arguments, or None if no string in them must be converted."""


@dataclass
class _NativeCall:
    index: int
    id: str | None = None
    name: str = ""
    started: bool = False
    ended: bool = False
    early: list[str] = field(default_factory=list)  # arguments that arrived before the name
    early_size: int = 0
    arguments: NativeArguments = field(default_factory=NativeArguments)


class NativeCallReader:
    def __init__(self, schema_of: SchemaOf = lambda _: None) -> None:
        self._schema_of = schema_of
        self._calls: dict[object, _NativeCall] = {}
        self._open: dict[int, _NativeCall] = {}  # calls without an end, by index
        # Complete ones among them: they end as soon as another call starts.
        self._closed: dict[int, _NativeCall] = {}
        self._last: _NativeCall | None = None

    def feed(self, delta: dict[str, Any]) -> list[TextEvent]:
        function = delta.get("function")
        said = function if isinstance(function, dict) else delta if "name" in delta else {}
        call, events = self._call_for(delta, said)
        if call.ended or call.early_size > HELD_LIMIT:  # too long without a name
            return events
        if isinstance(given := delta.get("id"), str) and given:
            call.id = call.id or given
        if isinstance(name := said.get("name"), str):
            call.name = (
                name
                if name.startswith(call.name)
                else call.name
                if call.started
                else call.name + name
            )
        arguments = said.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        if not isinstance(arguments, str):
            arguments = ""
        if call.started:
            events += _arguments(call, call.arguments.feed(arguments)) if arguments else []
        else:
            events += self._buffer(call, arguments)
        if call.arguments.closed:
            self._closed[call.index] = call
        return events

    def end(self, finish: str) -> list[TextEvent]:
        """End the calls, because the backend has reported the finish of the choice.

        A call is complete if its arguments are, even if the answer was cut after it.
        """
        events: list[TextEvent] = []
        for call in [call for call in self._open.values() if call.name]:
            events += self._start(call)
            events += self._finish(call, whole=call.arguments.is_whole(cut=finish == "length"))
        return events

    @property
    def are_whole(self) -> bool:
        """Whether no call lacks anything, as far as its arguments show."""
        return all(call.name and call.arguments.closed for call in self._open.values())

    def has_nameless(self, finish: str) -> bool:
        """Return whether a call without a name has arguments, or an id where the backend
        announced calls.
        """
        announced = finish in ("tool_calls", "function_call")
        return any(
            not call.name and ("".join(call.early).strip() or (announced and call.id))
            for call in self._open.values()
        )

    def _call_for(
        self, delta: dict[str, Any], function: dict[str, Any]
    ) -> tuple[_NativeCall, list[TextEvent]]:
        """Return the call that a delta belongs to; a new call ends the complete ones before it."""
        index, given = delta.get("index"), delta.get("id")
        new_id = isinstance(given, str) and given != ""
        key: object
        if isinstance(index, int):
            key = index
            known = self._calls.get(key)
            if known is not None and new_id and known.id is not None and known.id != given:
                key = (index, given)  # one index for two calls: the id tells them apart
            elif (
                known is not None
                and not new_id
                and known.arguments.closed
                and function.get("name")
                and function.get("arguments")
            ):
                # Without ids, a further name shows that the call before is complete.
                self._calls[index, len(self._calls)] = self._calls.pop(index)
        elif new_id:
            key = given
        elif self._last is not None and not (function.get("name") and self._last.arguments.closed):
            return self._last, []
        else:
            key = len(self._calls)
        if key in self._calls:
            self._last = self._calls[key]
            return self._last, []
        events = [
            event
            for call in list(self._closed.values())
            for event in self._finish(call, whole=True)
        ]
        self._last = self._calls[key] = _NativeCall(len(self._calls))
        self._open[self._last.index] = self._last
        return self._last, events

    def _start(self, call: _NativeCall) -> list[TextEvent]:
        if call.started:
            return []
        call.started = True
        call.arguments = NativeArguments(self._schema_of(call.name))
        return [CallStart(call.index, call.id, call.name, "native")]

    def _buffer(self, call: _NativeCall, arguments: str) -> list[TextEvent]:
        """Start the call once its name and the first arguments have arrived, in either order."""
        if arguments:
            call.early.append(arguments)
            call.early_size += len(arguments)
        if not call.name or not call.early:
            return []
        early, call.early, call.early_size = "".join(call.early), [], 0
        return [*self._start(call), *_arguments(call, call.arguments.feed(early))]

    def _finish(self, call: _NativeCall, *, whole: bool) -> list[TextEvent]:
        call.ended = True
        self._open.pop(call.index, None)
        self._closed.pop(call.index, None)
        rest = call.arguments.end() if whole else call.arguments.abort()
        return [*_arguments(call, rest), CallEnd(call.index, whole)]


def _arguments(call: _NativeCall, text: str) -> list[TextEvent]:
    return [CallArguments(call.index, text)] if text else []
