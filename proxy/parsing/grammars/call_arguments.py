"""The object of a call's arguments, wherever its name stands."""

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
"""Keys that hold the whole object of arguments once more."""


def arguments(reader: Reader, calls: CallWriter, ends: EndMarkers) -> Steps[bool]:
    """The object of arguments of the open call, all but its last brace. False if it broke off."""
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
    """Whether a first key may hold all arguments by mistake: none that the tool declares, where
    it declares any.
    """
    return key in WRAPPERS and not calls.keys and bool(calls.kinds) and key not in calls.kinds


def object_follows(reader: Reader) -> Steps[bool]:
    yield from reader.skip_blanks()
    return (yield from reader.peek_char()) == "{"


def json_body(
    reader: Reader, calls: CallWriter, name: str, ends: EndMarkers, id: str | None = None
) -> Steps[None]:
    """An object of arguments whose name stood before it."""
    if (yield from reader.peek("{")) and (yield from object_begins(reader, ends)):
        calls.start(name, id)
        if (yield from arguments(reader, calls, ends)):
            calls.end()
        else:
            calls.abort()


def object_begins(reader: Reader, ends: EndMarkers) -> Steps[bool]:
    """Whether an object begins here: sure with its first key and something behind it, or if it
    is empty.
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
    """The same, where a marker proves that arguments come: in a fence, encoded twice, or none at
    all.
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
    """The object that stands in a string; an empty one if there is nothing, or only `null`,
    before an end.
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
    """One value, as the schema wants it; False if it broke off."""
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
        here = reader.mark()  # all of it is held, so it has a limit
        whole = yield from string(reader, parts.append, context, ends)
        reader.release(here)
        calls.write(typed("".join(parts), kinds) if whole else "")
        return whole
    word = yield from scalar(reader, context, ends)
    calls.write(fit_scalar(word, kinds))
    return word != ""


def fit_scalar(word: str, kinds: Kinds) -> str:
    """A scalar of JSON as the schema wants it: a number for a string is quoted, 3.0 for an
    integer is 3.
    """
    if word[:1] in "-0123456789" and word:
        if "string" in kinds and not kinds & {"number", "integer"}:
            return quote(word)
        if "integer" in kinds and "number" not in kinds:
            return integer(word) or word
    return word


def buffered_arguments(reader: Reader, ends: EndMarkers) -> Steps[str | None]:
    """The object of arguments of a call that is not certain yet, as JSON; None if it broke off."""
    calls = CallWriter(ToolIndex())
    calls.start("")
    if not (yield from arguments(reader, calls, ends)):
        return None
    calls.end()
    return "".join(event.text for event in calls.take_events() if isinstance(event, CallArguments))


def json_object(text: str) -> str | None:
    """The text as one compact object, if it is one and nothing else."""
    reader, parts = ended_reader(text), list[str]()
    if (
        text.startswith("{")
        and complete(value(reader, parts.append, "alone", ()))
        and not reader.lookahead()[0].strip()
    ):
        return "".join(parts)
    return None


def unquoted(text: str) -> str:
    parts: list[str] = []
    complete(string(ended_reader(text), parts.append, "alone", ()))
    return "".join(parts)


def ended_reader(text: str) -> Reader:
    reader = Reader(text, len(text) + 1)  # no mark can hide any of it
    reader.end()
    return reader
