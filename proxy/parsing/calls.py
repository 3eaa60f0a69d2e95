"""Index of the declared tools, and writer of tool calls.

Whatever the dialect, the arguments of a call are written as one compact JSON object, with values
typed by the tool's schema.
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
# Tools beyond this number are ignored: their calls are forwarded like those of undeclared tools.
TOOLS_LIMIT = 5_000
NAME_LIMIT = 1024  # characters; tools with longer names are ignored
KEYS_LIMIT = 1 << 12
"""Number of argument names remembered per call; a call may have more."""


class ToolIndex:
    """Index of the tools that a request declares. Malformed entries are skipped."""

    def __init__(self, tools: object = ()) -> None:
        self._parameters: dict[str, object] = {}
        self._kinds: dict[str, dict[str, Kinds]] = {}  # parameter kinds of the tools called so far
        self._alike: dict[str, str | None] = {}  # by normalized name; None if ambiguous
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
        """Declared names in sorted order, so that names with the same prefix are adjacent."""
        return tuple(sorted(self._parameters))

    def is_name_prefix(self, text: str) -> bool:
        """Return whether the name of a declared tool starts with `text`."""
        at = bisect.bisect_left(self.names, text)
        return at < len(self.names) and self.names[at].startswith(text)

    def resolve(self, name: str) -> str | None:
        """Return the declared tool that `name` means, or None.

        Case, separators and a prefix that ends in a dot, such as `functions.`, are ignored.
        """
        for form in (name, name.removeprefix("functions."), name.rpartition(".")[2]):
            if form in self._parameters:
                return form
            if found := self._alike.get(_alike(form)):
                return found
        return None

    def kinds(self, name: str) -> Mapping[str, Kinds]:
        """Return the value kinds of each parameter of the tool `name`; empty if undeclared.

        The schema is read when the tool is first called.
        """
        if name not in self._kinds and name in self._parameters:
            self._kinds[name] = properties(self._parameters[name])
        return self._kinds.get(name, {})


def _alike(name: str) -> str:
    """Return `name` in lower case and with one kind of separator."""
    return SEPARATORS.sub("_", name).lower()


class CallWatcher(Protocol):
    """Object that a `CallWriter` notifies when a call starts or ends.

    Its methods may raise to stop the grammar.
    """

    def call_started(self) -> None: ...

    def call_ended(self) -> None: ...


class CallWriter:
    """Writer to which a grammar passes the calls that it reads.

    A grammar calls `start` once it is certain of a call; nothing is emitted before. A value whose
    type is known only at its end is held, up to `limit` characters.
    """

    def __init__(
        self, tools: ToolIndex, *, limit: int = HELD_LIMIT, watcher: CallWatcher | None = None
    ) -> None:
        self.tools, self.limit, self._watcher = tools, limit, watcher
        self.count = 0  # calls started
        self.has_output = False  # a call or text was written
        self.open = False
        self.aborted = False
        self.kinds: Mapping[str, Kinds] = {}
        self.keys: set[str] = set()
        self._events: list[TextEvent] = []
        self._pieces: list[str] = []

    def resolve_name(self, text: str) -> str | None:
        """Return the declared tool that `text` names.

        An undeclared name is returned without the prefix `functions.` if it is a valid tool name;
        otherwise the result is None.
        """
        name = text.strip()
        return self.tools.resolve(name) or (
            name.removeprefix("functions.") if NAME.fullmatch(name) else None
        )

    def resolve_declared(self, text: str) -> str | None:
        """Return the declared tool that `text` names, or None.

        Use this where only the name of the tool proves the call.
        """
        return self.tools.resolve(text.strip())

    def start(self, name: str, id: str | None = None) -> None:
        """Start a call of the tool `name`. `id` is the model's own id for the call, if any."""
        self._events.append(CallStart(self.count, id, name))
        self.kinds = self.tools.kinds(name)
        self.open, self.has_output, self.keys = True, True, set()
        self.count += 1
        if self._watcher is not None:
            self._watcher.call_started()

    def write(self, text: str) -> None:
        """Write a piece of the arguments' JSON."""
        self._pieces.append(text)

    def key(self, name: str) -> None:
        """Write the name of the next argument; its value follows with `write`."""
        self._pieces.append(("," if self.keys else "{") + quote(name) + ":")
        if len(self.keys) < KEYS_LIMIT:
            self.keys.add(name)

    def end(self) -> None:
        """End a complete call.

        The closing brace is written only here, because clients run a tool as soon as its arguments
        parse.
        """
        self._pieces.append("}" if self.keys else "{}")
        self._close(whole=True)

    def abort(self) -> None:
        """End a call that broke off, and leave its arguments unclosed."""
        self.aborted = True
        self._close(whole=False)

    def write_text(self, text: str) -> None:
        """Write text of the answer that a grammar has extracted from other markup."""
        self.has_output = True
        self._events.append(Content(text))

    def discard(self) -> None:
        """Discard everything written so far, because the text was not a call.

        Use this only in a grammar whose calls are held until it has read all of them.
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
        """Return the events written since the previous call of this method."""
        self._flush()
        events, self._events = self._events, []
        return events


def openai_tool_calls(events: Iterable[TextEvent]) -> list[dict[str, Any]]:
    """Return the calls among `events` in the format of an OpenAI message's `tool_calls`.

    The `id` of a call is the one that the model wrote, or None.
    """
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
