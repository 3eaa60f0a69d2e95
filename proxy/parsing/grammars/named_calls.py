"""Grammar for calls that begin with the bare tool name.

Either Python syntax, `name(key="value", other=1)`, or a JSON object: `name {"key": "value"}`.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

from proxy.parsing.calls import CallWriter
from proxy.parsing.grammars.call_arguments import (
    argument,
    arguments,
    is_wrapper_key,
    json_body,
    object_follows,
)
from proxy.parsing.grammars.json_text import EndMarkers
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps

NAME = re.compile(r"[\w.-]*")
WORD = re.compile(r"\w*")
COMMAS = re.compile(r"[\s,]*")
BETWEEN = re.compile(r"[\s,;]*")
ResolveName: TypeAlias = Callable[[CallWriter, str], str | None]
"""Returns the tool that a written name refers to, or None to reject the call."""


def python_calls(
    reader: Reader,
    calls: CallWriter,
    ends: EndMarkers,
    resolve: ResolveName = CallWriter.resolve_name,
) -> Steps[None]:
    """Read one call, several, or a list of calls in brackets."""
    listed = yield from reader.take("[")
    while True:
        here, before = reader.mark(), calls.count
        yield from reader.take_while(BETWEEN)
        printed = yield from reader.take("print(")
        yield from named_call(reader, calls, ends, resolve)
        if calls.count == before or calls.open or calls.aborted:
            if calls.count == before:
                reader.rewind(here)
            reader.release(here)
            break
        if printed:
            yield from reader.take(")")
        reader.release(here)
    if listed and calls.count and not calls.open and not calls.aborted:
        here = reader.mark()
        yield from reader.take_while(COMMAS)
        if not (yield from reader.take("]")) and (yield from reader.peek_char()):
            reader.rewind(here)
        reader.release(here)


def named_call(
    reader: Reader,
    calls: CallWriter,
    ends: EndMarkers,
    resolve: ResolveName = CallWriter.resolve_name,
) -> Steps[None]:
    """Read a name and its arguments: keywords in parentheses or a JSON object."""
    name = resolve(calls, (yield from reader.take_while(NAME)))
    if name is None:
        return
    if (yield from reader.take("(")):
        yield from keywords(reader, calls, name, ends)
        return
    yield from reader.skip_blanks()
    yield from json_body(reader, calls, name, ends)


def keywords(reader: Reader, calls: CallWriter, name: str, ends: EndMarkers) -> Steps[None]:
    """Read keyword arguments and the closing parenthesis.

    The call starts with the first keyword, or with the closing parenthesis if there are no
    arguments.
    """
    while True:
        gap = yield from reader.take_while(COMMAS)
        if (yield from reader.take(")")):
            if not calls.open:
                calls.start(name)
            calls.end()
            return
        key = yield from reader.take_while(WORD, WORD_LIMIT)
        if (
            not key
            and "," not in gap
            and not (yield from reader.peek_char())
            and not reader.cut
            and calls.open
        ):
            calls.end()
            return
        yield from reader.skip_blanks()
        if not key or not (yield from reader.take("=")):
            return
        yield from reader.skip_blanks()
        if (yield from reader.peek_char()) in (",", ")"):
            return
        if not calls.open:
            calls.start(name)
        if not (yield from _keyword(reader, calls, key, ends)):
            return


def _keyword(reader: Reader, calls: CallWriter, key: str, ends: EndMarkers) -> Steps[bool]:
    """Read the value of one keyword argument; return False if it is incomplete."""
    if is_wrapper_key(calls, key) and (yield from object_follows(reader)):
        return (yield from arguments(reader, calls, ends))
    calls.key(key)
    return (yield from argument(reader, calls, calls.kinds.get(key, frozenset()), "call", ends))
