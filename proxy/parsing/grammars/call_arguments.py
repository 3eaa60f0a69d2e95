"""Readers for the JSON object that holds the arguments of a tool call."""

from proxy.parsing.calls import CallWriter, ToolIndex
from proxy.parsing.conversion import integer, quote, typed
from proxy.parsing.events import CallArguments
from proxy.parsing.grammars.json_text import (
    END,
    OPENING_BRACKETS,
    EndMarkers,
    StringContext,
    closes,
    escaped,
    key,
    scalar,
    skip_partial_key,
    string,
    value,
)
from proxy.parsing.reader import Reader, Steps, complete
from proxy.parsing.schema import Kinds

WRAPPERS = frozenset({"arguments", "parameters", "args", "params", "input", "properties"})
"""Keys under which models nest the whole arguments object by mistake."""


def arguments(reader: Reader, calls: CallWriter, ends: EndMarkers) -> Steps[bool]:
    """Read the arguments object of the open call and write its members.

    The caller writes the final brace with `calls.end`. Return False if the object is incomplete.
    """
    yield from reader.take("{")
    while (name := (yield from key(reader))) is not None:
        if is_wrapper_key(calls, name) and (yield from object_follows(reader)):
            if not (yield from arguments(reader, calls, ends)):
                return False
            continue
        calls.key(name)
        if not (
            yield from argument(reader, calls, calls.kinds.get(name, frozenset()), "object", ends)
        ):
            return False
    over = yield from closes(reader, "{", ends)
    if not over:
        skip_partial_key(reader)
    return over != "" and (over != END or bool(calls.keys))


def is_wrapper_key(calls: CallWriter, key: str) -> bool:
    """Return whether `key` may wrap the whole arguments object by mistake.

    True only for the first key of the call, and only if the tool declares parameters but not this
    one.
    """
    return key in WRAPPERS and not calls.keys and bool(calls.kinds) and key not in calls.kinds


def object_follows(reader: Reader) -> Steps[bool]:
    """Skip whitespace and return whether an opening brace follows."""
    yield from reader.skip_blanks()
    return (yield from reader.peek_char()) == "{"


def json_body(
    reader: Reader, calls: CallWriter, name: str, ends: EndMarkers, id: str | None = None
) -> Steps[None]:
    """Read an arguments object and write the call to `name`.

    Nothing is written unless an object begins here. The call is aborted if the object is
    incomplete.
    """
    if (yield from reader.peek("{")) and (yield from object_begins(reader, ends)):
        calls.start(name, id)
        if (yield from arguments(reader, calls, ends)):
            calls.end()
        else:
            calls.abort()


def object_begins(reader: Reader, ends: EndMarkers) -> Steps[bool]:
    """Return whether the opening brace that comes next begins an object; read nothing.

    It does if a key and the beginning of a value follow, or if a closing brace or one of `ends`
    follows immediately.
    """
    here = reader.mark()
    reader.advance(1)
    named = (yield from key(reader)) is not None
    yield from reader.skip_blanks()
    sure = (
        (yield from reader.peek_char()) not in (",", "}", "]")
        if named
        else bool((yield from reader.peek("}", *ends)))
    )
    reader.rewind(here)
    reader.release(here)
    return sure


def arguments_payload(
    reader: Reader, calls: CallWriter, name: str, ends: EndMarkers, id: str | None = None
) -> Steps[None]:
    """Read the arguments of a call to `name` after a marker that announces them.

    They may be a JSON object, also in a code fence; a string that contains the object; or nothing
    (empty or `null`), which stands for `{}`.
    """
    yield from reader.skip_blanks()
    fence = yield from reader.take("```json", "```")
    ends = (*ends, "```") if fence else ends
    yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    if letter == "{":
        yield from json_body(reader, calls, name, ends, id)
    elif letter:
        text = yield from _encoded(reader, letter, ends)
        if text is not None:
            calls.start(name, id)
            complete(arguments(ended_reader(text), calls, ()))
            calls.end()
    if fence and not calls.aborted:
        yield from reader.skip_blanks()
        yield from reader.take_partial("```")


def _encoded(reader: Reader, letter: str, ends: EndMarkers) -> Steps[str | None]:
    """Return the arguments object that is encoded in a string, or `{}` for none.

    No arguments means: an empty string, or nothing but `null` before one of `ends`. Return None
    for any other text.
    """
    parts: list[str] = []
    if letter == '"':
        return (
            json_object("".join(parts).strip() or "{}")
            if (yield from string(reader, parts.append, "alone", ends))
            else None
        )
    yield from reader.take("null", "None")
    yield from reader.skip_blanks()
    return "{}" if (yield from reader.peek(*ends)) else None


def argument(
    reader: Reader, calls: CallWriter, kinds: Kinds, context: StringContext, ends: EndMarkers
) -> Steps[bool]:
    """Read one argument and write it as JSON of one of `kinds`.

    Return False if the value is incomplete.
    """
    yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    if letter and letter in "\"'" and (not kinds or "string" in kinds):
        calls.write('"')
        whole = yield from string(reader, lambda text: calls.write(escaped(text)), context, ends)
        calls.write('"' if whole else "")
        return whole
    if letter and letter in OPENING_BRACKETS[context]:
        return (yield from value(reader, calls.write, context, ends))
    if letter and letter in "\"'":
        parts: list[str] = []
        here = reader.mark()  # the mark limits how much text is buffered
        whole = yield from string(reader, parts.append, context, ends)
        reader.release(here)
        calls.write(typed("".join(parts), kinds) if whole else "")
        return whole
    word = yield from scalar(reader, context, ends)
    calls.write(fit_scalar(word, kinds))
    return word != ""


def fit_scalar(word: str, kinds: Kinds) -> str:
    """Return a JSON scalar converted to the type that the schema declares.

    A number becomes a string where only a string is allowed, and 3.0 becomes 3 for an integer.
    """
    if word[:1] in "-0123456789" and word:
        if "string" in kinds and not kinds & {"number", "integer"}:
            return quote(word)
        if "integer" in kinds and "number" not in kinds:
            return integer(word) or word
    return word


def buffered_arguments(reader: Reader, ends: EndMarkers) -> Steps[str | None]:
    """Read an arguments object without writing it, for a call that is not certain yet.

    Return its JSON, or None if the object is incomplete.
    """
    calls = CallWriter(ToolIndex())
    calls.start("")
    if not (yield from arguments(reader, calls, ends)):
        return None
    calls.end()
    return "".join(event.text for event in calls.take_events() if isinstance(event, CallArguments))


def json_object(text: str) -> str | None:
    """Return `text` as compact JSON if it is exactly one object, else None."""
    reader, parts = ended_reader(text), list[str]()
    if (
        text.startswith("{")
        and complete(value(reader, parts.append, "alone", ()))
        and not reader.lookahead()[0].strip()
    ):
        return "".join(parts)
    return None


def unquoted(text: str) -> str:
    """Return the decoded content of a quoted string."""
    parts: list[str] = []
    complete(string(ended_reader(text), parts.append, "alone", ()))
    return "".join(parts)


def ended_reader(text: str) -> Reader:
    """Return a reader for a text that is complete."""
    reader = Reader(text, len(text) + 1)  # the limit is above the length, so a mark fits anywhere
    reader.end()
    return reader
