"""Conversion of a parameter written as raw text to JSON, without the newlines that are markup."""

from io import StringIO

from proxy.parsing.calls import CallWriter
from proxy.parsing.conversion import typed
from proxy.parsing.grammars.json_text import escaped
from proxy.parsing.grammars.xml_layout import NewlineRule
from proxy.parsing.schema import Kinds, canonical_kind

SHORT_LIMIT = 64
"""Number of characters above which a value that may be a string is sent as a string.

The schema may also allow null, a number or a boolean, but those are shorter.
"""
STRUCTURE_LIMIT = 1 << 18
"""Number of characters above which an array or object is sent as a string.

Parsing a value of this size takes up to 50 ms. No model writes that much in one answer.
"""
NO_STRING: Kinds = frozenset({"null", "integer", "number", "boolean", "object", "array"})


def kinds_of_type(kind: str | None) -> Kinds:
    """Return the JSON kinds that the type attribute of a parameter tag allows.

    Use this only for a parameter whose type is missing in the tool's schema. An empty result means
    any kind.
    """
    if kind is None or kind in ("string", "true"):
        return frozenset()
    return NO_STRING if kind == "false" else frozenset({canonical_kind(kind)})


class RawValue:
    """Writer for one raw value of the open call.

    A value that can only be a string is streamed. Any other value is buffered until `end`, which
    determines its type.
    """

    def __init__(
        self, calls: CallWriter, name: str, edge: NewlineRule = "line", kind: str | None = None
    ) -> None:
        self._calls, self._edge = calls, edge
        self._kinds = calls.kinds.get(name) or kinds_of_type(kind)
        self._string = self._kinds <= {"string"}
        self._held = StringIO()
        self._size = 0
        self._first = ""  # first non-whitespace character
        self._lead = ""  # newline before the value, while it may still belong to the value
        self._tail = ""
        calls.key(name)
        if self._string:
            calls.write('"')

    def set_lead(self, newline: str) -> None:
        """Record the newline between the opening tag and the value."""
        if self._edge == "pair" and newline:
            self._lead = newline

    def write(self, text: str) -> None:
        """Add a piece of the value.

        A newline at the end is held back because it may be markup before the closing tag.
        """
        text = self._tail + text
        body = (
            text.removesuffix("\n").removesuffix("\r")
            if text.endswith("\n")
            else text.removesuffix("\r")
        )
        self._tail = text[len(body) :]
        self._body(body)

    def unclosed(self) -> None:
        """Note that the closing tag is missing.

        The newline at the end of the value then counts as markup.
        """
        self._lead = self._lead or self._tail

    def end(self) -> None:
        """Write the rest of the value as JSON."""
        if self._tail == "\r":  # a lone carriage return is no newline
            self._body("\r")
            self._tail = ""
        elif self._edge == "pair" and not self._lead:
            self._body(self._tail)
        text = ("" if self._tail else self._lead) + self._held.getvalue()
        self._calls.write(escaped(text) + '"' if self._string else typed(text, self._kinds))

    def _body(self, text: str) -> None:
        """Stream text of a string; buffer any other text up to the limits."""
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
        """Write the buffered text as the beginning of a string; later text is streamed.

        Called when the value is too long to be anything else or to be buffered. A newline before
        the value that might have been markup becomes part of it.
        """
        self._calls.write(
            ("" if self._string else '"') + escaped(self._lead + self._held.getvalue())
        )
        self._string, self._lead, self._held = True, "", StringIO()

    def _structured(self) -> bool:
        """Return whether the value may still be an array or object."""
        return self._first in ("{", "[", "(", "") and bool(self._kinds & {"object", "array"})
