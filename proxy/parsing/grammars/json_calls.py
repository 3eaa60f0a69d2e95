"""Calls written as JSON objects: `{"name": …, "arguments": {…}}` in every shape that models give
them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.parsing.calls import Calls, Tools
from proxy.parsing.grammars.call_arguments import (
    arguments,
    buffered,
    ended,
    fitting,
    json_object,
    object_begins,
    unquoted,
)
from proxy.parsing.grammars.json_text import END, Ends, closes, half_key, key, value
from proxy.parsing.reader import Reader, Steps, complete

BETWEEN = re.compile(r"[\s,;\[\]}]*")
OPENING = re.compile(r"[\s\[]*")
DEPTH_LIMIT = 4


@dataclass(frozen=True)
class Shape:
    """How a dialect spells its objects, and which names it lets pass."""

    names: frozenset[str] = frozenset({"name", "tool_name", "function_name", "tool"})
    arguments: frozenset[str] = frozenset({"arguments", "parameters", "args"})
    wrappers: frozenset[str] = frozenset({"function", "function_call", "tool_call"})
    around: frozenset[str] = frozenset({"id", "type", "index", "tool_call_id"})
    ends: Ends = ()
    name: Callable[[Calls, str], str | None] = Calls.name
    # Nothing but such an object proves a call: no other key, and arguments that are no schema.
    strict: bool = False


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
        half_key(read)
    given = calls.open or found.arguments is not None
    if over == END or (not over and not (yield from read.next())):
        whole = not read.cut and (given or (over == END and bool(found.others)))
    elif over and not given and not found.others:
        whole = over not in ("]", ")") and not (yield from _members_follow(read))
    else:
        whole = over != "" or calls.open
    return whole and (depth > 0 or _finish(calls, shape, found))


def _members_follow(read: Reader) -> Steps[bool]:
    """Whether the object of a mere name was closed too early: then its arguments stand behind
    it.
    """
    here = read.mark()
    yield from read.run(BETWEEN)
    follows = (yield from read.next()) in ('"', "'") and (yield from key(read)) is not None
    read.rewind(here)
    read.release(here)
    return follows


def _member(
    read: Reader, calls: Calls, shape: Shape, found: Found, name: str, depth: int
) -> Steps[bool]:
    yield from read.skip()
    letter = yield from read.next()
    if shape.strict and name not in shape.names | shape.arguments | shape.wrappers | shape.around:
        return False
    if name in shape.wrappers and letter == "{":
        return (yield from _call_object(read, calls, shape, found, depth + 1))
    if name in shape.arguments and not calls.open and found.arguments is None:
        return (yield from _arguments(read, calls, shape, found, letter))
    if calls.open:  # beside the arguments of a call that has begun, nothing is of use
        return (yield from value(read, len, "object", shape.ends))
    parts: list[str] = []
    if not (yield from value(read, parts.append, "object", shape.ends)):
        return False
    text = "".join(parts)
    if (name in shape.names or name in shape.wrappers) and found.name is None:
        found.name = shape.name(calls, unquoted(text)) if text.startswith('"') else None
        return found.name is not None
    if name == "id" and text.startswith('"'):
        found.id = unquoted(text) or None
    found.others[name] = text
    return True


def _arguments(read: Reader, calls: Calls, shape: Shape, found: Found, letter: str) -> Steps[bool]:
    if letter == "{" and found.name is not None and not shape.strict:
        if not (yield from object_begins(read, shape.ends)):
            return False
        calls.start(found.name, found.id)
        return (yield from arguments(read, calls, shape.ends))
    if letter == "{":
        found.arguments = yield from buffered(read, shape.ends)
        return found.arguments is not None
    parts: list[str] = []
    if not (yield from value(read, parts.append, "object", shape.ends)):
        return False
    text = "".join(parts)
    if text.startswith('"'):
        text = unquoted(text).strip() or "null"
    if text == "null":
        text = "{}"
    found.arguments = json_object(text)
    return found.arguments is not None


def _finish(calls: Calls, shape: Shape, found: Found) -> bool:
    if not calls.open:
        if found.name is None or (
            not _told(calls, found)
            if shape.strict
            else found.arguments is None and not _flat(calls, shape, found)
        ):
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
    """Without arguments every other key must be one: the body had text, and a call without it
    would be another call.
    """
    return found.others.keys() - shape.around <= calls.tools.kinds(found.name or "").keys()
