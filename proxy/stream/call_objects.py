"""Calls written as JSON objects: `{"name": …, "arguments": {…}}` in every shape that models give them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.stream.calls import Calls, Tools
from proxy.stream.events import CallArguments
from proxy.stream.json_text import END, OPENING_BRACKETS, Ends, Place, closes, escaped, half_key, key, scalar, string, value
from proxy.stream.reader import Reader, Steps, complete
from proxy.stream.schema import Kinds, integer, quote, typed

BETWEEN = re.compile(r"[\s,;\[\]}]*")
OPENING = re.compile(r"[\s\[]*")
DEPTH_LIMIT = 4
WRAPPERS = frozenset({"arguments", "parameters", "args", "params", "input", "properties"})
"""Keys that hold the whole object of arguments once more."""


@dataclass(frozen=True)
class Shape:
    """How a dialect spells its objects, and which names it lets pass."""

    names: frozenset[str] = frozenset({"name", "tool_name", "function_name", "tool"})
    arguments: frozenset[str] = frozenset({"arguments", "parameters", "args"})
    wrappers: frozenset[str] = frozenset({"function", "function_call", "tool_call"})
    around: frozenset[str] = frozenset({"id", "type", "index", "tool_call_id"})
    ends: Ends = ()
    name: Callable[[Calls, str], str | None] = Calls.name
    strict: bool = False  # nothing but such an object proves a call: no other key, and arguments that are no schema


@dataclass
class Found:
    """What one object has told so far."""

    name: str | None = None
    id: str | None = None
    arguments: str | None = None  # JSON that came before the name
    others: dict[str, str] = field(default_factory=dict)


def call_objects(read: Reader, calls: Calls, shape: Shape) -> Steps[None]:
    """One object, several, or an array of them; what is no call any more is left unread."""
    lists = (yield from read.run(OPENING)).count("[")
    while True:
        here = read.mark()
        if not (yield from _call_object(read, calls, shape, Found(), 0)):
            if calls.open:
                calls.abort()
            else:
                read.rewind(here)
            read.release(here)
            return
        read.release(here)
        here = read.mark()
        yield from read.run(BETWEEN)
        letter = yield from read.next()
        if letter and letter != "{" and not (shape.ends and (yield from read.peek(*shape.ends))):
            read.rewind(here)
            yield from _closed(read, lists)
        read.release(here)
        if letter != "{" or read.tired:
            return


def _closed(read: Reader, lists: int) -> Steps[None]:
    """The closers of the array around the objects; blanks behind them are left alone."""
    for _ in range(lists):
        here = read.mark()
        yield from read.skip()
        met = yield from read.take("]")
        if not met:
            read.rewind(here)
        read.release(here)
        if not met:
            return


def _call_object(read: Reader, calls: Calls, shape: Shape, found: Found, depth: int) -> Steps[bool]:
    if not (yield from read.take("{")) or depth > DEPTH_LIMIT:
        return False
    while (name := (yield from key(read))) is not None:
        if not (yield from _member(read, calls, shape, found, name, depth)):
            return False
    over = yield from closes(read, "{", shape.ends)
    if not over:
        yield from half_key(read)
    given = calls.open or found.arguments is not None
    if over == END or (not over and not (yield from read.next())):
        whole = not read.cut and (given or (over == END and bool(found.others)))
    elif over and not given and not found.others:
        whole = over not in ("]", ")") and not (yield from _members_follow(read))
    else:
        whole = over != "" or calls.open
    return whole and (depth > 0 or _finish(calls, shape, found))


def _members_follow(read: Reader) -> Steps[bool]:
    """Whether the object of a mere name was closed too early: then its arguments stand behind it."""
    here = read.mark()
    yield from read.run(BETWEEN)
    follows = (yield from read.next()) in ('"', "'") and (yield from key(read)) is not None
    read.rewind(here)
    read.release(here)
    return follows


def _member(read: Reader, calls: Calls, shape: Shape, found: Found, name: str, depth: int) -> Steps[bool]:
    yield from read.skip()
    letter = yield from read.next()
    if shape.strict and name not in shape.names | shape.arguments | shape.wrappers | shape.around:
        return False
    if name in shape.wrappers and letter == "{":
        return (yield from _call_object(read, calls, shape, found, depth + 1))
    if name in shape.arguments and not calls.open and found.arguments is None:
        return (yield from _arguments(read, calls, shape, found, letter))
    parts: list[str] = []
    if not (yield from value(read, parts.append, "object", shape.ends)):
        return False
    text = "".join(parts)
    if (name in shape.names or name in shape.wrappers) and found.name is None:
        found.name = shape.name(calls, _unquoted(text)) if text.startswith('"') else None
        return found.name is not None
    if name == "id" and text.startswith('"'):
        found.id = _unquoted(text) or None
    found.others[name] = text
    return True


def _unquoted(text: str) -> str:
    parts: list[str] = []
    complete(string(ended(text), parts.append, "alone", ()))
    return "".join(parts)


def ended(text: str) -> Reader:
    read = Reader(text)
    read.end()
    return read


def _arguments(read: Reader, calls: Calls, shape: Shape, found: Found, letter: str) -> Steps[bool]:
    if letter == "{" and found.name is not None and not shape.strict:
        if not (yield from _begins(read, shape.ends)):
            return False
        calls.start(found.name, found.id)
        return (yield from arguments(read, calls, shape.ends))
    if letter == "{":
        found.arguments = yield from _buffered(read, shape.ends)
        return found.arguments is not None
    parts: list[str] = []
    if not (yield from value(read, parts.append, "object", shape.ends)):
        return False
    text = "".join(parts)
    if text.startswith('"'):
        text = _unquoted(text).strip() or "null"
    if text == "null":
        text = "{}"
    found.arguments = _object(text)
    return found.arguments is not None


def _buffered(read: Reader, ends: Ends) -> Steps[str | None]:
    """The object of arguments of a call that is not certain yet, as JSON; None if it broke off."""
    calls = Calls(Tools())
    calls.start("")
    if not (yield from arguments(read, calls, ends)):
        return None
    calls.end()
    return "".join(event.text for event in calls.taken() if isinstance(event, CallArguments))


def _object(text: str) -> str | None:
    """The text as one compact object, if it is one and nothing else."""
    read, parts = ended(text), list[str]()
    if text.startswith("{") and complete(value(read, parts.append, "alone", ())) and not read.ahead()[0].strip():
        return "".join(parts)
    return None


def _finish(calls: Calls, shape: Shape, found: Found) -> bool:
    if not calls.open:
        if found.name is None or (not _told(calls, found) if shape.strict else found.arguments is None and not _flat(calls, shape, found)):
            return False
        calls.start(found.name, found.id)
        complete(arguments(ended(found.arguments or "{}"), calls, ()))
        for name, text in found.others.items() if found.arguments is None else ():
            if name not in shape.around:
                calls.key(name)
                calls.write(fitting(text, calls.kinds.get(name, frozenset())))
    calls.end()
    return True


def _told(calls: Calls, found: Found) -> bool:
    """Whether there are arguments, and no schema, which would describe the tool."""
    if found.arguments is None:
        return False
    trial = Calls(Tools())
    trial.start("")
    complete(arguments(ended(found.arguments), trial, ()))
    return not {"type", "properties"} <= trial.keys - calls.tools.kinds(found.name or "").keys()


def _flat(calls: Calls, shape: Shape, found: Found) -> bool:
    """Without arguments every other key must be one: the body had text, and a call without it would be another call."""
    return found.others.keys() - shape.around <= calls.tools.kinds(found.name or "").keys()


def arguments(read: Reader, calls: Calls, ends: Ends) -> Steps[bool]:
    """The object of arguments of the open call, all but its last brace. False if it broke off."""
    yield from read.take("{")
    while (name := (yield from key(read))) is not None:
        if wraps(calls, name) and (yield from object_follows(read)):
            if not (yield from arguments(read, calls, ends)):
                return False
            continue
        calls.key(name)
        if not (yield from argument(read, calls, calls.kinds.get(name, frozenset()), "object", ends)):
            return False
    over = yield from closes(read, "{", ends)
    if not over:
        yield from half_key(read)
    return over != "" and (over != END or bool(calls.keys))


def wraps(calls: Calls, key: str) -> bool:
    """Whether a first key may hold all arguments by mistake: none that the tool declares, where it declares any."""
    return key in WRAPPERS and not calls.keys and bool(calls.kinds) and key not in calls.kinds


def object_follows(read: Reader) -> Steps[bool]:
    yield from read.skip()
    return (yield from read.next()) == "{"


def json_body(read: Reader, calls: Calls, name: str, ends: Ends, id: str | None = None) -> Steps[None]:
    """An object of arguments whose name stood before it."""
    if (yield from read.peek("{")) and (yield from _begins(read, ends)):
        calls.start(name, id)
        if (yield from arguments(read, calls, ends)):
            calls.end()
        else:
            calls.abort()


def _begins(read: Reader, ends: Ends) -> Steps[bool]:
    """Whether an object begins here: sure with its first key and something behind it, or if it is empty."""
    here = read.mark()
    read.drop(1)
    named = (yield from key(read)) is not None
    yield from read.skip()
    sure = (yield from read.next()) not in (",", "}", "]") if named else bool((yield from read.peek("}", *ends)))
    read.rewind(here)
    read.release(here)
    return sure


def payload(read: Reader, calls: Calls, name: str, ends: Ends, id: str | None = None) -> Steps[None]:
    """The same, where a marker proves that arguments come: in a fence, encoded twice, or none at all."""
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
    """The object that stands in a string; an empty one if there is nothing, or only `null`, before an end."""
    parts: list[str] = []
    if letter == '"':
        return _object("".join(parts).strip() or "{}") if (yield from string(read, parts.append, "alone", ends)) else None
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
        whole = yield from string(read, parts.append, place, ends)
        calls.write(typed("".join(parts), kinds) if whole else "")
        return whole
    word = yield from scalar(read, place, ends)
    calls.write(fitting(word, kinds))
    return word != ""


def fitting(word: str, kinds: Kinds) -> str:
    """A scalar of JSON as the schema wants it: a number for a string is quoted, 3.0 for an integer is 3."""
    if word[:1] in "-0123456789" and word:
        if "string" in kinds and not kinds & {"number", "integer"}:
            return quote(word)
        if "integer" in kinds and "number" not in kinds:
            return integer(word) or word
    return word
