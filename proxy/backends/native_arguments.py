"""Reader for the streamed arguments of a tool call that the backend parsed.

The arguments pass unchanged, with three exceptions. The last brace is held until the call is known
to be complete. A value that is not an object is held until the end, where `null` and an object
inside a string become objects. A string is converted by `typed` if the schema excludes strings.
"""

import json
import re

from proxy.parsing.conversion import typed
from proxy.parsing.schema import ValueSchema
from proxy.parsing.window import HELD_LIMIT

_OUTSIDE = re.compile(r'[^"{}\[\]]*')
_OUTSIDE_WITH_COMMAS = re.compile(r'[^"{}\[\],]*')
_INSIDE = re.compile(r'[^"\\]*')


class NativeArguments:
    """Incremental reader for the arguments of one call, a JSON object that arrives in pieces.

    `feed` returns what can be sent, but never the last brace. Call `end` if the call is complete,
    otherwise `abort`; both return the rest.
    """

    def __init__(self, schema: ValueSchema | None = None) -> None:
        self._schema = schema
        self._outside = _OUTSIDE if schema is None else _OUTSIDE_WITH_COMMAS
        self._is_object = False  # the arguments start with a brace
        self.closed = False  # the last brace has arrived
        # Text that is held: a value that is not an object, or the last brace and what follows.
        self._held_back: list[str] = []
        self._held_back_size = 0
        # The enclosing objects and arrays; True for an object.
        self._open: list[tuple[ValueSchema | None, bool]] = []
        self._value = schema  # schema of the current or next value
        self._expects_key = False
        self._in_string = False
        self._escaped = False  # the last character was a backslash in a string
        # Text of the current string, if the string is a key or must be converted; else None.
        self._captured: list[str] | None = None
        self._captured_size = 0
        self._captured_from = 0  # start of the string's text in the current piece
        self._converts = False  # whether the current string is converted
        self._out: list[str] = []
        # Characters of the current piece before this index were emitted or replaced.
        self._emitted_to = 0

    def feed(self, text: str) -> str:
        if self._is_passing and '"' not in text and "\\" not in text:
            return text  # the fast path for most pieces of a long argument
        if not self._is_object and not self._held_back:
            text = text.lstrip()
            self._is_object = text.startswith("{")
        if not text:
            return ""
        if not self._is_object or self.closed:
            return self._hold_back(text)
        return self._scan(text)

    def end(self) -> str:
        """Return the held text of a complete call, converted to an object if possible."""
        rest = "".join(self._held_back)
        self._held_back = []
        return rest.rstrip() if self._is_object else self._unwrapped(rest.strip())

    def abort(self) -> str:
        """Return the held text of a call that broke off, without the last brace."""
        captured, self._captured = self._captured, None
        return '"' + "".join(captured) if captured is not None and self._converts else ""

    def is_whole(self, *, cut: bool) -> bool:
        """Return whether the arguments are complete, given that no more will arrive.

        `cut` means that the answer reached its length limit.
        """
        if self._is_object:
            return self.closed
        text = "".join(self._held_back).strip()
        if not text:
            return not cut
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            # Plain words are passed on, so that the client can reject them.
            return not cut and text[0] not in '"['
        return True

    def _hold_back(self, text: str) -> str:
        self._held_back.append(text)
        self._held_back_size += len(text)
        if self._held_back_size <= HELD_LIMIT:
            return ""
        kept, self._held_back, self._held_back_size = "".join(self._held_back), [], 0
        if self._is_object and kept.rstrip() == "}":
            self._held_back = ["}"]
            return ""
        self._is_object = self.closed = (
            True  # too long to hold, so everything from here on is passed on unchanged
        )
        return kept

    @property
    def _is_passing(self) -> bool:
        """Whether the reader is inside a string that is passed on unchanged."""
        return self._in_string and not self._escaped and self._captured is None

    def _scan(self, text: str) -> str:
        self._out, self._emitted_to, self._captured_from = [], 0, 0
        at, size = int(self._escaped), len(text)
        self._escaped = False
        while at < size:
            match = (_INSIDE if self._in_string else self._outside).match(text, at)
            assert match is not None  # the patterns also match the empty string
            at = match.end()
            if at == size:
                break
            letter = text[at]
            at += 1
            if letter == '"':
                self._quote(text, at)
            elif letter == "\\":
                self._escaped = at == size
                at += 1
            elif self._bracket(letter):
                self._held_back = [text[at - 1 :]]
                return "".join([*self._out, text[self._emitted_to : at - 1]])
        return self._flush_piece(text)

    def _flush_piece(self, text: str) -> str:
        """Return the output of a whole piece; a captured string continues in the next piece."""
        if not self._converts:
            self._out.append(text[self._emitted_to :])
        if self._captured is not None:
            self._captured.append(text[self._captured_from :])
            self._captured_size += len(text) - self._captured_from
            if self._captured_size > HELD_LIMIT:
                self._out.append(self.abort())
                self._converts, self._expects_key, self._value = False, False, None
        return "".join(self._out)

    def _quote(self, text: str, at: int) -> None:
        """Start or end a string whose quote is just before `at`."""
        self._in_string = not self._in_string
        if self._in_string:
            self._converts = (
                not self._expects_key and self._value is not None and bool(self._value.kinds)
            )
            if self._expects_key or self._converts:
                self._captured, self._captured_size, self._captured_from = [], 0, at
            if self._converts:
                self._out.append(text[self._emitted_to : at - 1])
        elif self._captured is not None:
            raw = "".join([*self._captured, text[self._captured_from : at - 1]])
            self._captured = None
            if self._converts:
                self._out.append(self._converted(raw))
                self._emitted_to, self._converts = at, False
            else:
                self._key(raw)

    def _bracket(self, letter: str) -> bool:
        """Track the nesting at a bracket or comma; return whether it closes the arguments."""
        if letter in "{[":
            self._open.append((self._value, letter == "{"))
            self._next_value()
            return False
        if letter != ",":
            self._open.pop()
            self.closed = not self._open
            return self.closed
        self._next_value()
        return False

    def _next_value(self) -> None:
        if self._schema is None:
            return
        around, is_object = self._open[-1]
        self._expects_key = is_object
        self._value = around.item if around is not None and not is_object else None

    def _key(self, raw: str) -> None:
        around, _ = self._open[-1]
        self._expects_key = False
        self._value = around.member(_decoded(raw)) if around is not None else None

    def _converted(self, raw: str) -> str:
        assert self._value is not None  # otherwise nothing would be converted
        value = typed(_decoded(raw), self._value.kinds)
        return f'"{raw}"' if value.startswith('"') else value

    def _unwrapped(self, text: str) -> str:
        if text in ("", "null"):
            return "{}"
        try:
            inner = json.loads(text)
            if isinstance(inner, str) and isinstance(json.loads(inner), dict):
                again = NativeArguments(self._schema)
                return again.feed(inner) + again.end()
        except (ValueError, RecursionError):
            pass
        return text


def _decoded(raw: str) -> str:
    """Return the text of the JSON string with content `raw`, or `raw` itself if it is invalid."""
    try:
        return str(json.loads(f'"{raw}"', strict=False))
    except ValueError:
        return raw
