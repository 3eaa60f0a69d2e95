"""MiniMax-M3: elements with a mark before every tag; parameters are named by their tag, and nest.

SAMPLE:
]<]minimax[>[<tool_call>
]<]minimax[>[<invoke name="read_file">
]<]minimax[>[<path>notes.md]<]minimax[>[</path>
]<]minimax[>[</invoke>
]<]minimax[>[</tool_call>

Seen as well: the mark missing before a closing tag or the first one.
"""

import json
import re
from typing import Any

from proxy.stream.calls import Calls
from proxy.stream.dialect import Dialect, sample
from proxy.stream.markers import compiled
from proxy.stream.raw_values import NO_STRING, RawValue
from proxy.stream.reader import Emit, Reader, Steps
from proxy.stream.schema import compact, typed
from proxy.stream.tagged_calls import closing_tag

MARK = "]<]minimax[>["
INVOKE, ELEMENT = re.compile(r"<invoke\s+name\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?\s*>"), re.compile(r"<([^\s<>/]+)>")
DEPTH_LIMIT, TOO_DEEP = 32, object()


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    while (yield from read.take(MARK + "<tool_call>", "<tool_call>")):
        yield from read.skip()
    while True:
        here, before = read.mark(), calls.count
        yield from read.skip()
        name = calls.name((yield from _tag(read, INVOKE)))
        if name:
            calls.start(name)
            while (yield from _parameter(read, calls)):
                yield from read.skip()
            if calls.open:
                yield from _end(read, calls)
        if calls.count == before:
            read.rewind(here)
        read.release(here)
        if calls.count == before or calls.broken:
            break
    if calls.count and not calls.broken:
        yield from closing_tag(read, (), (MARK + "</tool_call>", "</tool_call>"))


def _tag(read: Reader, pattern: re.Pattern[str]) -> Steps[str]:
    """The name in the tag that comes next, read with its mark; empty if no such tag does."""
    here = read.mark()
    marked = (yield from read.take(MARK)) or pattern is INVOKE
    found = pattern.fullmatch((yield from read.tag())) if marked else None
    if found:
        read.drop(found.end())
    else:
        read.rewind(here)
    read.release(here)
    return found[1] if found else ""


def _end(read: Reader, calls: Calls) -> Steps[None]:
    yield from read.skip()
    if (
        (yield from read.take(MARK + "</invoke>", "</invoke>"))
        or (yield from read.peek(MARK))
        or not ((yield from read.next()) or read.cut)
    ):
        calls.end()
    else:
        calls.abort()


def _parameter(read: Reader, calls: Calls) -> Steps[bool]:
    yield from read.skip()
    name = yield from _tag(read, ELEMENT)
    if not name:
        return False
    if (yield from _nests(read)):
        calls.key(name)
        inner = yield from _inner(read, name, 0)
        if inner is not TOO_DEEP and (yield from read.next()):
            calls.write(compact(inner))
            return True
        calls.abort()  # or nothing comes behind it: there may have been more of it
        return False
    value = RawValue(calls, name, "pair")
    value.lead((yield from read.take("\r\n", "\n")))
    if (yield from _text(read, name, value.write)):
        value.end()
        return True
    calls.abort()
    return False


def _text(read: Reader, name: str, emit: Emit) -> Steps[bool]:
    """Up to the closing tag, or to the mark of another; without its mark a closing tag needs one behind it. False if it broke off."""
    bare = f"</{name}>"
    known = compiled((MARK, bare))
    while met := (yield from read.inside(known, emit)):
        if met == bare:
            gap = yield from read.skip()
            if not (yield from read.next()) or (yield from read.peek(MARK)):
                return True
            emit(bare + gap)
            continue
        read.back(len(MARK))
        yield from read.take(MARK + bare)
        return True
    return False


def _nests(read: Reader) -> Steps[bool]:
    """Whether an element, and no text, stands inside this one."""
    here = read.mark()
    yield from read.skip()
    inside = (yield from _tag(read, ELEMENT)) != ""
    read.rewind(here)
    read.release(here)
    return inside


def _inner(read: Reader, name: str, depth: int) -> Steps[Any]:
    """The elements inside one: an array if they are items, else an object."""
    items: list[Any] = []
    members: dict[str, Any] = {}
    while True:
        yield from read.skip()
        key = yield from _tag(read, ELEMENT)
        if not key:
            break
        if (yield from _nests(read)):
            value = (yield from _inner(read, key, depth + 1)) if depth < DEPTH_LIMIT else TOO_DEEP
        else:
            parts: list[str] = []
            yield from _text(read, key, parts.append)
            value = json.loads(typed("".join(parts), NO_STRING))
        if value is TOO_DEEP:
            return TOO_DEEP
        items.append(value)
        members[key] = value
    yield from read.take(f"{MARK}</{name}>", f"</{name}>")
    return items if members.keys() <= {"item"} else members


OPENERS = (MARK + "<tool_call>", MARK + "<invoke", "<tool_call>")
DIALECT = Dialect("minimax_m3", sample(__doc__), grammar, OPENERS, turns=(MARK,), marks=(MARK,), models="minimax-?m3")
