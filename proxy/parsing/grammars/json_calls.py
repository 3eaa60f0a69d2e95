"""Grammar for calls written as JSON objects: `{"name": …, "arguments": {…}}` and its variants."""

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
    """Keys of a dialect's call objects, and the rule for accepting tool names."""

    names: frozenset[str] = frozenset({"name", "tool_name", "function_name", "tool"})
    arguments: frozenset[str] = frozenset({"arguments", "parameters", "args"})
    wrappers: frozenset[str] = frozenset({"function", "function_call", "tool_call"})
    metadata_keys: frozenset[str] = frozenset({"id", "type", "index", "tool_call_id"})
    ends: EndMarkers = ()
    resolve_name: Callable[[CallWriter, str], str | None] = CallWriter.resolve_name
    # Accept only objects without other keys, whose arguments do not look like a JSON schema: used
    # where no marker announces a call.
    strict: bool = False


@dataclass
class ParsedObject:
    """Members of a call object that have been read so far."""

    name: str | None = None
    id: str | None = None
    arguments: str | None = None  # JSON of arguments that precede the name
    others: dict[str, str] = field(default_factory=dict)


def json_calls(reader: Reader, calls: CallWriter, json_format: JsonFormat) -> Steps[None]:
    """Read one call object, several, or an array of them.

    Text after the last call stays unread.
    """
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
    """Read up to `lists` closing brackets; whitespace after the last one stays unread."""
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
    """Read a call object, or an object nested in one, into `found`.

    Return False if the object is no call or is incomplete.
    """
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
    """Return whether a key follows an object that has only a name; read nothing.

    Then the object was closed too early, and its arguments come after the brace.
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
    """Read the value of the key `name` in a call object.

    Return False if the object is no call or the value is incomplete.
    """
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
    if calls.open:  # the arguments are being written: skip other members
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
    """Read the arguments of a call object: an object, or a string that contains one.

    They are written directly if the name is already known, else kept in `found.arguments`. Return
    False if they are no object or are incomplete.
    """
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
    """Write what is still missing of the call in `found`; return False if it is no call."""
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
    """Return whether `found` has arguments that are not a JSON schema.

    An object with a name and a schema describes a tool; it does not call one.
    """
    if found.arguments is None:
        return False
    trial = CallWriter(ToolIndex())
    trial.start("")
    complete(arguments(ended_reader(found.arguments), trial, ()))
    return not {"type", "properties"} <= trial.keys - calls.tools.kinds(found.name or "").keys()


def _others_are_arguments(calls: CallWriter, json_format: JsonFormat, found: ParsedObject) -> bool:
    """Return whether all other keys of an object without arguments are parameters of the tool.

    If one is not, the object is no call: writing it without that member would change its meaning.
    """
    return (
        found.others.keys() - json_format.metadata_keys
        <= calls.tools.kinds(found.name or "").keys()
    )
