"""Calls that begin with the bare name: `name(key="value", other=1)` as Python has it, or
`name {"key": "value"}`.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

from proxy.parsing.calls import Calls
from proxy.parsing.grammars.call_arguments import (
    argument,
    arguments,
    json_body,
    object_follows,
    wraps,
)
from proxy.parsing.grammars.json_text import Ends
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps

NAME = re.compile(r"[\w.-]*")
WORD = re.compile(r"\w*")
COMMAS = re.compile(r"[\s,]*")
BETWEEN = re.compile(r"[\s,;]*")
Named: TypeAlias = Callable[[Calls, str], str | None]
"""Which names are let pass."""


def python_calls(read: Reader, calls: Calls, ends: Ends, named: Named = Calls.name) -> Steps[None]:
    """One such call, several, or a list of them."""
    listed = yield from read.take("[")
    while True:
        here, before = read.mark(), calls.count
        yield from read.run(BETWEEN)
        printed = yield from read.take("print(")
        yield from named_call(read, calls, ends, named)
        if calls.count == before or calls.open or calls.broken:
            if calls.count == before:
                read.rewind(here)
            read.release(here)
            break
        if printed:
            yield from read.take(")")
        read.release(here)
    if listed and calls.count and not calls.open and not calls.broken:
        here = read.mark()
        yield from read.run(COMMAS)
        if not (yield from read.take("]")) and (yield from read.next()):
            read.rewind(here)
        read.release(here)


def named_call(read: Reader, calls: Calls, ends: Ends, named: Named = Calls.name) -> Steps[None]:
    """A name and its arguments, as keywords in brackets or as JSON."""
    name = named(calls, (yield from read.run(NAME)))
    if name is None:
        return
    if (yield from read.take("(")):
        yield from keywords(read, calls, name, ends)
        return
    yield from read.skip()
    yield from json_body(read, calls, name, ends)


def keywords(read: Reader, calls: Calls, name: str, ends: Ends) -> Steps[None]:
    """Sure with the first keyword, or with the closing bracket if there is none."""
    while True:
        gap = yield from read.run(COMMAS)
        if (yield from read.take(")")):
            if not calls.open:
                calls.start(name)
            calls.end()
            return
        key = yield from read.run(WORD, WORD_LIMIT)
        if (
            not key
            and "," not in gap
            and not (yield from read.next())
            and not read.cut
            and calls.open
        ):
            calls.end()
            return
        yield from read.skip()
        if not key or not (yield from read.take("=")):
            return
        yield from read.skip()
        if (yield from read.next()) in (",", ")"):
            return
        if not calls.open:
            calls.start(name)
        if not (yield from _keyword(read, calls, key, ends)):
            return


def _keyword(read: Reader, calls: Calls, key: str, ends: Ends) -> Steps[bool]:
    """The value of one keyword; False if it broke off."""
    if wraps(calls, key) and (yield from object_follows(read)):
        return (yield from arguments(read, calls, ends))
    calls.key(key)
    return (yield from argument(read, calls, calls.kinds.get(key, frozenset()), "call", ends))
