"""The one writer of calls: whatever a dialect reads, its arguments leave as one compact JSON
object, typed by the tool's schema.
"""

import bisect
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol

from proxy.parsing.conversion import quote
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Content, TextEvent
from proxy.parsing.schema import Kinds, properties
from proxy.parsing.window import HELD_LIMIT

NAME = re.compile(r"[^\W_][\w.:/@-]{0,127}|_[\w.:/@-]{0,127}")
SEPARATORS = re.compile(r"[-_. ]+")
# Further ones are forwarded by the name that the model writes, as undeclared ones are.
TOOLS_LIMIT = 5_000
NAME_LIMIT = 1024  # letters; a tool with a longer name cannot be called
KEYS_LIMIT = 1 << 12
"""So many keys of a call are remembered: a call may have more."""


class ToolIndex:
    """The tools of a request. What is no usable entry is passed over."""

    def __init__(self, tools: object = ()) -> None:
        self._parameters: dict[str, object] = {}
        self._kinds: dict[str, dict[str, Kinds]] = {}  # of the tools that were called
        self._alike: dict[str, str | None] = {}  # None: several are alike
        for entry in tools[:TOOLS_LIMIT] if isinstance(tools, (list, tuple)) else ():
            function = entry.get("function", entry) if isinstance(entry, Mapping) else None
            if (
                isinstance(function, Mapping)
                and isinstance(name := function.get("name"), str)
                and 0 < len(name) <= NAME_LIMIT
            ):
                self._parameters[name] = function.get("parameters")
                alike = _alike(name)
                self._alike[alike] = name if self._alike.get(alike, name) == name else None

    def __bool__(self) -> bool:
        return bool(self._parameters)

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    @cached_property
    def names(self) -> tuple[str, ...]:
        """In order: those that begin alike stand together."""
        return tuple(sorted(self._parameters))

    def is_name_prefix(self, text: str) -> bool:
        """Whether a name begins with this text."""
        at = bisect.bisect_left(self.names, text)
        return at < len(self.names) and self.names[at].startswith(text)

    def resolve(self, name: str) -> str | None:
        """The declared name that a model meant, whatever it did to case, separators and the
        `functions.` before it.
        """
        for form in (name, name.removeprefix("functions."), name.rpartition(".")[2]):
            if form in self._parameters:
                return form
            if found := self._alike.get(_alike(form)):
                return found
        return None

    def kinds(self, name: str) -> Mapping[str, Kinds]:
        """Return the kinds of a tool's parameters; its schema is read when the tool is first
        called.
        """
        if name not in self._kinds and name in self._parameters:
            self._kinds[name] = properties(self._parameters[name])
        return self._kinds.get(name, {})


def _alike(name: str) -> str:
    return SEPARATORS.sub("_", name).lower()


class CallWatcher(Protocol):
    """Learns where in the text each call begins and ends; it may stop the grammar there by
    raising.
    """

    def call_started(self) -> None: ...

    def call_ended(self) -> None: ...


class CallWriter:
    """Where a grammar writes what it has read.

    Nothing leaves before the first `start`: that is when a grammar is sure.

    A value whose type is not known before its end is held up to `limit`.
    """

    def __init__(
        self, tools: ToolIndex, *, limit: int = HELD_LIMIT, watcher: CallWatcher | None = None
    ) -> None:
        self.tools, self.limit, self._watcher = tools, limit, watcher
        self.count = 0
        self.has_output = False  # a call, or what is said
        self.open = False
        self.aborted = False
        self.kinds: Mapping[str, Kinds] = {}
        self.keys: set[str] = set()
        self._events: list[TextEvent] = []
        self._pieces: list[str] = []

    def resolve_name(self, text: str) -> str | None:
        """The tool that a name means; an undeclared one is forwarded if it can be a name at all."""
        name = text.strip()
        return self.tools.resolve(name) or (
            name.removeprefix("functions.") if NAME.fullmatch(name) else None
        )

    def resolve_declared(self, text: str) -> str | None:
        """Only a declared tool: where nothing but its name proves the call."""
        return self.tools.resolve(text.strip())

    def start(self, name: str, id: str | None = None) -> None:
        self._events.append(CallStart(self.count, id, name))
        self.kinds = self.tools.kinds(name)
        self.open, self.has_output, self.keys = True, True, set()
        self.count += 1
        if self._watcher is not None:
            self._watcher.call_started()

    def write(self, text: str) -> None:
        """A piece of the arguments' JSON."""
        self._pieces.append(text)

    def key(self, name: str) -> None:
        self._pieces.append(("," if self.keys else "{") + quote(name) + ":")
        if len(self.keys) < KEYS_LIMIT:
            self.keys.add(name)

    def end(self) -> None:
        """The call is whole.

        Only now the last brace leaves: a client runs a tool as soon as its arguments parse.
        """
        self._pieces.append("}" if self.keys else "{}")
        self._close(whole=True)

    def abort(self) -> None:
        """The call broke off."""
        self.aborted = True
        self._close(whole=False)

    def write_text(self, text: str) -> None:
        """What the answer says, where a grammar has to read it out of something else."""
        self.has_output = True
        self._events.append(Content(text))

    def discard(self) -> None:
        """It was no call after all: only for a grammar that is believed when it has read
        everything.
        """
        self.count, self.has_output = 0, False
        self._events.clear()

    def _close(self, *, whole: bool) -> None:
        self._flush()
        self._events.append(CallEnd(self.count - 1, whole))
        self.open = False
        if self._watcher is not None:
            self._watcher.call_ended()

    def _flush(self) -> None:
        if text := "".join(self._pieces):
            self._events.append(CallArguments(self.count - 1, text))
        self._pieces.clear()

    def take_events(self) -> list[TextEvent]:
        """What was written since the last time."""
        self._flush()
        events, self._events = self._events, []
        return events


def openai_tool_calls(events: Iterable[TextEvent]) -> list[dict[str, Any]]:
    """The calls among the events as an OpenAI message lists them, without ids."""
    calls: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, CallStart):
            calls.append(
                {
                    "id": event.id,
                    "type": "function",
                    "function": {"name": event.name, "arguments": []},
                }
            )
        elif isinstance(event, CallArguments):
            calls[event.index]["function"]["arguments"].append(event.text)
    for call in calls:
        call["function"]["arguments"] = "".join(call["function"]["arguments"])
    return calls
