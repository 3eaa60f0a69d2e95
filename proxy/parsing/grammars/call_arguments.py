"""The object of a call's arguments, wherever its name stands."""

from proxy.parsing.calls import Calls, Tools
from proxy.parsing.conversion import integer, quote, typed
from proxy.parsing.events import CallArguments
from proxy.parsing.grammars.json_text import (
    END,
    OPENING_BRACKETS,
    Ends,
    Place,
    closes,
    escaped,
    half_key,
    key,
    scalar,
    string,
    value,
)
from proxy.parsing.reader import Reader, Steps, complete
from proxy.parsing.schema import Kinds

WRAPPERS = frozenset({"arguments", "parameters", "args", "params", "input", "properties"})
"""Keys that hold the whole object of arguments once more."""


def arguments(read: Reader, calls: Calls, ends: Ends) -> Steps[bool]:
    """The object of arguments of the open call, all but its last brace. False if it broke off."""
    yield from read.take("{")
    while (name := (yield from key(read))) is not None:
        if wraps(calls, name) and (yield from object_follows(read)):
            if not (yield from arguments(read, calls, ends)):
                return False
            continue
        calls.key(name)
        if not (
            yield from argument(read, calls, calls.kinds.get(name, frozenset()), "object", ends)
        ):
            return False
    over = yield from closes(read, "{", ends)
    if not over:
        half_key(read)
    return over != "" and (over != END or bool(calls.keys))


def wraps(calls: Calls, key: str) -> bool:
    """Whether a first key may hold all arguments by mistake: none that the tool declares, where
    it declares any.
    """
    return key in WRAPPERS and not calls.keys and bool(calls.kinds) and key not in calls.kinds


def object_follows(read: Reader) -> Steps[bool]:
    yield from read.skip()
    return (yield from read.next()) == "{"


def json_body(
    read: Reader, calls: Calls, name: str, ends: Ends, id: str | None = None
) -> Steps[None]:
    """An object of arguments whose name stood before it."""
    if (yield from read.peek("{")) and (yield from object_begins(read, ends)):
        calls.start(name, id)
        if (yield from arguments(read, calls, ends)):
            calls.end()
        else:
            calls.abort()


def object_begins(read: Reader, ends: Ends) -> Steps[bool]:
    """Whether an object begins here: sure with its first key and something behind it, or if it
    is empty.
    """
    here = read.mark()
    read.drop(1)
    named = (yield from key(read)) is not None
    yield from read.skip()
    sure = (
        (yield from read.next()) not in (",", "}", "]")
        if named
        else bool((yield from read.peek("}", *ends)))
    )
    read.rewind(here)
    read.release(here)
    return sure


def payload(
    read: Reader, calls: Calls, name: str, ends: Ends, id: str | None = None
) -> Steps[None]:
    """The same, where a marker proves that arguments come: in a fence, encoded twice, or none at
    all.
    """
    yield from read.skip()
    fence = yield from read.take("```json", "```")
    ends = (*ends, "```") if fence else ends
    yield from read.skip()
    letter = yield from read.next()
    if letter == "{":
        yield from json_body(read, calls, name, ends, id)
    elif letter:
        text = yield from _encoded(read, letter, ends)
        if text is not None:
            calls.start(name, id)
            complete(arguments(ended(text), calls, ()))
            calls.end()
    if fence and not calls.broken:
        yield from read.skip()
        yield from read.take_half("```")


def _encoded(read: Reader, letter: str, ends: Ends) -> Steps[str | None]:
    """The object that stands in a string; an empty one if there is nothing, or only `null`,
    before an end.
    """
    parts: list[str] = []
    if letter == '"':
        return (
            json_object("".join(parts).strip() or "{}")
            if (yield from string(read, parts.append, "alone", ends))
            else None
        )
    yield from read.take("null", "None")
    yield from read.skip()
    return "{}" if (yield from read.peek(*ends)) else None


def argument(read: Reader, calls: Calls, kinds: Kinds, place: Place, ends: Ends) -> Steps[bool]:
    """One value, as the schema wants it; False if it broke off."""
    yield from read.skip()
    letter = yield from read.next()
    if letter and letter in "\"'" and (not kinds or "string" in kinds):
        calls.write('"')
        whole = yield from string(read, lambda text: calls.write(escaped(text)), place, ends)
        calls.write('"' if whole else "")
        return whole
    if letter and letter in OPENING_BRACKETS[place]:
        return (yield from value(read, calls.write, place, ends))
    if letter and letter in "\"'":
        parts: list[str] = []
        here = read.mark()  # all of it is held, so it has a limit
        whole = yield from string(read, parts.append, place, ends)
        read.release(here)
        calls.write(typed("".join(parts), kinds) if whole else "")
        return whole
    word = yield from scalar(read, place, ends)
    calls.write(fitting(word, kinds))
    return word != ""


def fitting(word: str, kinds: Kinds) -> str:
    """A scalar of JSON as the schema wants it: a number for a string is quoted, 3.0 for an
    integer is 3.
    """
    if word[:1] in "-0123456789" and word:
        if "string" in kinds and not kinds & {"number", "integer"}:
            return quote(word)
        if "integer" in kinds and "number" not in kinds:
            return integer(word) or word
    return word


def buffered(read: Reader, ends: Ends) -> Steps[str | None]:
    """The object of arguments of a call that is not certain yet, as JSON; None if it broke off."""
    calls = Calls(Tools())
    calls.start("")
    if not (yield from arguments(read, calls, ends)):
        return None
    calls.end()
    return "".join(event.text for event in calls.taken() if isinstance(event, CallArguments))


def json_object(text: str) -> str | None:
    """The text as one compact object, if it is one and nothing else."""
    read, parts = ended(text), list[str]()
    if (
        text.startswith("{")
        and complete(value(read, parts.append, "alone", ()))
        and not read.ahead()[0].strip()
    ):
        return "".join(parts)
    return None


def unquoted(text: str) -> str:
    parts: list[str] = []
    complete(string(ended(text), parts.append, "alone", ()))
    return "".join(parts)


def ended(text: str) -> Reader:
    read = Reader(text, len(text) + 1)  # no mark can hide any of it
    read.end()
    return read
