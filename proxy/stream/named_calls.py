"""Calls that begin with the bare name: `name(key="value", other=1)` as Python has it, or `name {"key": "value"}`."""

import re

from proxy.stream.call_objects import fitting, json_body
from proxy.stream.calls import Calls
from proxy.stream.json_text import Ends, escaped, scalar, string, value
from proxy.stream.reader import Reader, Steps

NAME = re.compile(r"[\w.]*")
WORD = re.compile(r"\w*")
BETWEEN = re.compile(r"[\s,]*")


def named_call(read: Reader, calls: Calls, ends: Ends) -> Steps[None]:
    """A name and its arguments, as keywords in brackets or as JSON."""
    name = calls.name((yield from read.run(NAME)))
    if name is None:
        return
    if (yield from read.take("(")):
        yield from _keywords(read, calls, name, ends)
        return
    yield from read.skip()
    yield from json_body(read, calls, name, ends)


def _keywords(read: Reader, calls: Calls, name: str, ends: Ends) -> Steps[None]:
    """Sure with the first keyword, or with the closing bracket if there is none."""
    while True:
        yield from read.run(BETWEEN)
        if (yield from read.take(")")):
            if not calls.open:
                calls.start(name)
            calls.end()
            return
        key = yield from read.run(WORD)
        if not key and not (yield from read.next()) and not read.cut and calls.open:
            calls.end()
            return
        yield from read.skip()
        if not key or not (yield from read.take("=")):
            return
        if not calls.open:
            calls.start(name)
        calls.key(key)
        if not (yield from _value(read, calls, key, ends)):
            return


def _value(read: Reader, calls: Calls, key: str, ends: Ends) -> Steps[bool]:
    yield from read.skip()
    letter = yield from read.next()
    if letter and letter in "\"'":
        calls.write('"')
        whole = yield from string(read, lambda text: calls.write(escaped(text)), "call", ends)
        calls.write('"' if whole else "")
        return whole
    if letter and letter in "{[":
        return (yield from value(read, calls.write, "call", ends))
    word = yield from scalar(read)
    calls.write(fitting(word, calls.kinds.get(key, frozenset())))
    return word != ""
