"""Reader for tool calls that the backend parsed, which returns the same events as our parser.

There is one reader for each choice. Names and ids that a backend repeats are returned once. The
arguments are read by `native_arguments`.
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
"""Function that returns the schema of a tool's arguments, or None if nothing is converted."""


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
        self._open: dict[int, _NativeCall] = {}  # calls without a CallEnd yet, by index
        # Those of them whose arguments are closed: they end when another call starts.
        self._closed: dict[int, _NativeCall] = {}
        self._last: _NativeCall | None = None

    def feed(self, delta: dict[str, Any]) -> list[TextEvent]:
        function = delta.get("function")
        said = function if isinstance(function, dict) else delta if "name" in delta else {}
        call, events = self._call_for(delta, said)
        if call.ended or call.early_size > HELD_LIMIT:  # too many arguments without a name
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
        """End all calls, because the backend has reported the finish reason `finish`.

        A call with complete arguments is complete, even if the answer was cut after the call.
        """
        events: list[TextEvent] = []
        for call in [call for call in self._open.values() if call.name]:
            events += self._start(call)
            events += self._finish(call, whole=call.arguments.is_whole(cut=finish == "length"))
        return events

    @property
    def are_whole(self) -> bool:
        """Whether every call has a name and closed arguments."""
        return all(call.name and call.arguments.closed for call in self._open.values())

    def has_nameless(self, finish: str) -> bool:
        """Return whether a call lacks a name and has arguments.

        If `finish` announces calls, an id without a name counts too.
        """
        announced = finish in ("tool_calls", "function_call")
        return any(
            not call.name and ("".join(call.early).strip() or (announced and call.id))
            for call in self._open.values()
        )

    def _call_for(
        self, delta: dict[str, Any], function: dict[str, Any]
    ) -> tuple[_NativeCall, list[TextEvent]]:
        """Return the call that `delta` belongs to, and the events that end earlier calls.

        A new call ends those before it whose arguments are closed.
        """
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
                # Without ids, another name with arguments starts a new call at the same index.
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
        """Buffer arguments until the call has a name and arguments, then start the call."""
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
