"""Calls written as JSON objects: `{"name": …, "arguments": {…}}` in every shape that models give
them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.parsing.calls import CallWriter, ToolIndex
from proxy.parsing.grammars.call_arguments import (
    arguments,
    buffered_arguments,
    ended_reader,
    fit_scalar,
    json_object,
    object_begins,
    unquoted,
)
from proxy.parsing.grammars.json_text import END, EndMarkers, closes, key, skip_partial_key, value
from proxy.parsing.reader import Reader, Steps, complete

BETWEEN = re.compile(r"[\s,;\[\]}]*")
OPENING = re.compile(r"[\s\[]*")
DEPTH_LIMIT = 4


@dataclass(frozen=True)
class JsonFormat:
    """How a dialect spells its objects, and which names it lets pass."""

    names: frozenset[str] = frozenset({"name", "tool_name", "function_name", "tool"})
    arguments: frozenset[str] = frozenset({"arguments", "parameters", "args"})
    wrappers: frozenset[str] = frozenset({"function", "function_call", "tool_call"})
    metadata_keys: frozenset[str] = frozenset({"id", "type", "index", "tool_call_id"})
    ends: EndMarkers = ()
    resolve_name: Callable[[CallWriter, str], str | None] = CallWriter.resolve_name
    # Nothing but such an object proves a call: no other key, and arguments that are no schema.
    strict: bool = False


@dataclass
class ParsedObject:
    """What one object has told so far."""

    name: str | None = None
    id: str | None = None
    arguments: str | None = None  # JSON that came before the name
    others: dict[str, str] = field(default_factory=dict)


def json_calls(reader: Reader, calls: CallWriter, json_format: JsonFormat) -> Steps[None]:
    """One object, several, or an array of them; what is no call any more is left unread."""
    lists = (yield from reader.take_while(OPENING)).count("[")
    while True:
        here = reader.mark()
        if not (yield from _call_object(reader, calls, json_format, ParsedObject(), 0)):
            if calls.open:
                calls.abort()
            else:
                reader.rewind(here)
            reader.release(here)
            return
        reader.release(here)
        here = reader.mark()
        yield from reader.take_while(BETWEEN)
        letter = yield from reader.peek_char()
        if (
            letter
            and letter != "{"
            and not (json_format.ends and (yield from reader.peek(*json_format.ends)))
        ):
            reader.rewind(here)
            yield from _closed(reader, lists)
        reader.release(here)
        if letter != "{" or reader.over_budget:
            return


def _closed(reader: Reader, lists: int) -> Steps[None]:
    """The closers of the array around the objects; blanks behind them are left alone."""
    for _ in range(lists):
        here = reader.mark()
        yield from reader.skip_blanks()
        met = yield from reader.take("]")
        if not met:
            reader.rewind(here)
        reader.release(here)
        if not met:
            return


def _call_object(
    reader: Reader, calls: CallWriter, json_format: JsonFormat, found: ParsedObject, depth: int
) -> Steps[bool]:
    if not (yield from reader.take("{")) or depth > DEPTH_LIMIT:
        return False
    while (name := (yield from key(reader))) is not None:
        if not (yield from _member(reader, calls, json_format, found, name, depth)):
            return False
    over = yield from closes(reader, "{", json_format.ends)
    if not over:
        skip_partial_key(reader)
    given = calls.open or found.arguments is not None
    if over == END or (not over and not (yield from reader.peek_char())):
        whole = not reader.cut and (given or (over == END and bool(found.others)))
    elif over and not given and not found.others:
        whole = over not in ("]", ")") and not (yield from _members_follow(reader))
    else:
        whole = over != "" or calls.open
    return whole and (depth > 0 or _finish(calls, json_format, found))


def _members_follow(reader: Reader) -> Steps[bool]:
    """Whether the object of a mere name was closed too early: then its arguments stand behind
    it.
    """
    here = reader.mark()
    yield from reader.take_while(BETWEEN)
    follows = (yield from reader.peek_char()) in ('"', "'") and (yield from key(reader)) is not None
    reader.rewind(here)
    reader.release(here)
    return follows


def _member(
    reader: Reader,
    calls: CallWriter,
    json_format: JsonFormat,
    found: ParsedObject,
    name: str,
    depth: int,
) -> Steps[bool]:
    yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    if (
        json_format.strict
        and name
        not in json_format.names
        | json_format.arguments
        | json_format.wrappers
        | json_format.metadata_keys
    ):
        return False
    if name in json_format.wrappers and letter == "{":
        return (yield from _call_object(reader, calls, json_format, found, depth + 1))
    if name in json_format.arguments and not calls.open and found.arguments is None:
        return (yield from _arguments(reader, calls, json_format, found, letter))
    if calls.open:  # beside the arguments of a call that has begun, nothing is of use
        return (yield from value(reader, len, "object", json_format.ends))
    parts: list[str] = []
    if not (yield from value(reader, parts.append, "object", json_format.ends)):
        return False
    text = "".join(parts)
    if (name in json_format.names or name in json_format.wrappers) and found.name is None:
        found.name = (
            json_format.resolve_name(calls, unquoted(text)) if text.startswith('"') else None
        )
        return found.name is not None
    if name == "id" and text.startswith('"'):
        found.id = unquoted(text) or None
    found.others[name] = text
    return True


def _arguments(
    reader: Reader, calls: CallWriter, json_format: JsonFormat, found: ParsedObject, letter: str
) -> Steps[bool]:
    if letter == "{" and found.name is not None and not json_format.strict:
        if not (yield from object_begins(reader, json_format.ends)):
            return False
        calls.start(found.name, found.id)
        return (yield from arguments(reader, calls, json_format.ends))
    if letter == "{":
        found.arguments = yield from buffered_arguments(reader, json_format.ends)
        return found.arguments is not None
    parts: list[str] = []
    if not (yield from value(reader, parts.append, "object", json_format.ends)):
        return False
    text = "".join(parts)
    if text.startswith('"'):
        text = unquoted(text).strip() or "null"
    if text == "null":
        text = "{}"
    found.arguments = json_object(text)
    return found.arguments is not None


def _finish(calls: CallWriter, json_format: JsonFormat, found: ParsedObject) -> bool:
    if not calls.open:
        if found.name is None or (
            not _has_real_arguments(calls, found)
            if json_format.strict
            else found.arguments is None and not _others_are_arguments(calls, json_format, found)
        ):
            return False
        calls.start(found.name, found.id)
        complete(arguments(ended_reader(found.arguments or "{}"), calls, ()))
        for name, text in found.others.items() if found.arguments is None else ():
            if name not in json_format.metadata_keys:
                calls.key(name)
                calls.write(fit_scalar(text, calls.kinds.get(name, frozenset())))
    calls.end()
    return True


def _has_real_arguments(calls: CallWriter, found: ParsedObject) -> bool:
    """Whether there are arguments, and no schema, which would describe the tool."""
    if found.arguments is None:
        return False
    trial = CallWriter(ToolIndex())
    trial.start("")
    complete(arguments(ended_reader(found.arguments), trial, ()))
    return not {"type", "properties"} <= trial.keys - calls.tools.kinds(found.name or "").keys()


def _others_are_arguments(calls: CallWriter, json_format: JsonFormat, found: ParsedObject) -> bool:
    """Without arguments every other key must be one: the body had text, and a call without it
    would be another call.
    """
    return (
        found.others.keys() - json_format.metadata_keys
        <= calls.tools.kinds(found.name or "").keys()
    )
