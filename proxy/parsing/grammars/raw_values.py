"""Converts one parameter written as raw text into JSON, without the newlines that are markup."""

from io import StringIO

from proxy.parsing.calls import CallWriter
from proxy.parsing.conversion import typed
from proxy.parsing.grammars.json_text import escaped
from proxy.parsing.grammars.xml_layout import NewlineRule
from proxy.parsing.schema import Kinds, canonical_kind

SHORT_LIMIT = 64
"""A longer value is a string, even if the schema also allows null or a number."""
STRUCTURE_LIMIT = 1 << 18
"""A longer array or object is a string: reading it takes up to 50 ms, and no model writes that
much.
"""
NO_STRING: Kinds = frozenset({"null", "integer", "number", "boolean", "object", "array"})


def kinds_of_type(kind: str | None) -> Kinds:
    """Return the kinds of a value whose tag names its type; the schema takes precedence."""
    if kind is None or kind in ("string", "true"):
        return frozenset()
    return NO_STRING if kind == "false" else frozenset({canonical_kind(kind)})


class RawValue:
    """Writes a value immediately if it can only be a string, otherwise when it has ended."""

    def __init__(
        self, calls: CallWriter, name: str, edge: NewlineRule = "line", kind: str | None = None
    ) -> None:
        self._calls, self._edge = calls, edge
        self._kinds = calls.kinds.get(name) or kinds_of_type(kind)
        self._string = self._kinds <= {"string"}
        self._held = StringIO()
        self._size = 0
        self._first = ""  # the first character that is not whitespace
        self._lead = ""  # a newline before the value, which may belong to it
        self._tail = ""
        calls.key(name)
        if self._string:
            calls.write('"')

    def set_lead(self, newline: str) -> None:
        """Record the newline between the opening tag and the value."""
        if self._edge == "pair" and newline:
            self._lead = newline

    def write(self, text: str) -> None:
        """Add text; the last newline is held, because it may belong to the markup."""
        text = self._tail + text
        body = (
            text.removesuffix("\n").removesuffix("\r")
            if text.endswith("\n")
            else text.removesuffix("\r")
        )
        self._tail = text[len(body) :]
        self._body(body)

    def unclosed(self) -> None:
        """Note that the closing tag is missing: the newline before what replaces it is markup."""
        self._lead = self._lead or self._tail

    def end(self) -> None:
        if self._tail == "\r":  # not a newline after all
            self._body("\r")
            self._tail = ""
        elif self._edge == "pair" and not self._lead:
            self._body(self._tail)
        text = ("" if self._tail else self._lead) + self._held.getvalue()
        self._calls.write(escaped(text) + '"' if self._string else typed(text, self._kinds))

    def _body(self, text: str) -> None:
        if self._string and not self._lead:
            self._calls.write(escaped(text))
            return
        self._held.write(text)
        self._size += len(text)
        self._first = self._first or text.lstrip()[:1]
        limit = self._calls.limit if self._string else min(self._calls.limit, STRUCTURE_LIMIT)
        if self._size > limit or (
            self._size > SHORT_LIMIT
            and not self._lead
            and "string" in self._kinds
            and not self._structured()
        ):
            self._emit_as_string()

    def _emit_as_string(self) -> None:
        """Emit the held text as the beginning of a string, because it is too long for anything
        else.

        A newline before it that might have been markup is part of the value then.
        """
        self._calls.write(
            ("" if self._string else '"') + escaped(self._lead + self._held.getvalue())
        )
        self._string, self._lead, self._held = True, "", StringIO()

    def _structured(self) -> bool:
        return self._first in ("{", "[", "(", "") and bool(self._kinds & {"object", "array"})
