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

from proxy.parsing.calls import Calls
from proxy.parsing.conversion import compact, typed
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.raw_values import NO_STRING, RawValue
from proxy.parsing.grammars.xml_calls import closing_tag
from proxy.parsing.grammars.xml_layout import Tag
from proxy.parsing.markers import compiled
from proxy.parsing.reader import Emit, Reader, Steps

MARK = "]<]minimax[>["
INVOKE = r"<invoke\s+name\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?\s*>"
MARKED, UNMARKED = (
    Tag(MARK, re.compile(re.escape(MARK) + INVOKE), (">",)),
    Tag("<invoke", re.compile(INVOKE)),
)
ELEMENT = Tag(MARK, re.compile(re.escape(MARK) + r"<([^\s<>/]+)>"), (">",))
CLOSERS, NEXT = (
    (MARK + "</invoke>", "</invoke>"),
    (MARK + "</tool_call>", "</tool_call>", MARK + "<invoke"),
)
DEPTH_LIMIT = 32
BROKEN = object()
"""No value: it is too deep, or the text ended inside it."""


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    while (yield from read.take(MARK + "<tool_call>", "<tool_call>")):
        yield from read.skip()
    while True:
        here, before = read.mark(), calls.count
        name = calls.name((yield from _tag(read, MARKED, UNMARKED)))
        while name and (yield from _parameter(read, calls, name)):
            pass
        if name and not calls.broken:
            yield from _end(read, calls, name)
        if calls.count == before:
            read.rewind(here)
        read.release(here)
        if calls.count == before or calls.broken:
            break
    if calls.count and not calls.broken:
        yield from closing_tag(read, (), NEXT[:2])


def _tag(read: Reader, *tags: Tag) -> Steps[str]:
    """The name in the tag that comes next, which is read, blanks before it too; empty if no such
    tag does.
    """
    yield from read.skip()
    for tag in tags:
        if found := (yield from tag.at(read)):
            read.drop(found.end())
            return found[1]
    return ""


def _end(read: Reader, calls: Calls, name: str) -> Steps[None]:
    """The closing tag, or what comes in its place; at the very end half of it, but not of a
    parameter's tag.
    """
    met = (yield from read.peek(*NEXT)) or (yield from read.take_half(*CLOSERS, *NEXT[:2]))
    half = not met and (yield from ELEMENT.half(read))
    whole = met != "" or (not half and not (yield from read.next()) and calls.open and not read.cut)
    if whole and not calls.open:
        calls.start(name)
    if whole:
        calls.end()
    elif calls.open:
        calls.abort()


def _parameter(read: Reader, calls: Calls, tool: str) -> Steps[bool]:
    name = yield from _tag(read, ELEMENT)
    if not name:
        return False
    if not calls.open:
        calls.start(tool)
    if (yield from _nests(read)):
        calls.key(name)
        here = read.mark()  # all of it is held, so it has a limit
        inner = yield from _inner(read, name, 0)
        read.release(here)
        if inner is not BROKEN and (yield from read.next()):
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
    """Up to the closing tag, or to the mark of another; without its mark a closing tag needs one
    behind it. False if it broke off.
    """
    bare = f"</{name}>"
    known, closer = compiled((MARK, bare)), compiled((MARK + bare,))
    while met := (yield from read.inside(known, emit)):
        if met == bare:
            gap = yield from read.skip()
            if not (yield from read.next()) or (yield from read.peek(MARK)):
                return True
            emit(bare + gap)
            continue
        read.back(len(MARK))
        if (yield from read.take(MARK + bare)):
            return True
        return not ((yield from read.over(closer)) or (yield from ELEMENT.half(read)))
    return False


def _nests(read: Reader) -> Steps[bool]:
    """Whether an element, and no text, stands inside this one."""
    here = read.mark()
    yield from read.skip()
    inside = (yield from ELEMENT.at(read)) is not None
    read.rewind(here)
    read.release(here)
    return inside


def _inner(read: Reader, name: str, depth: int) -> Steps[Any]:
    """The elements inside one: an array if they are items, else an object."""
    items: list[Any] = []
    members: dict[str, Any] = {}
    while key := (yield from _tag(read, ELEMENT)):
        if (yield from _nests(read)):
            value = (yield from _inner(read, key, depth + 1)) if depth < DEPTH_LIMIT else BROKEN
        else:
            parts: list[str] = []
            yield from _text(read, key, parts.append)
            value = json.loads(typed("".join(parts), NO_STRING))
        if value is BROKEN:
            return BROKEN
        items.append(value)
        members[key] = value
    closers = (f"{MARK}</{name}>", f"</{name}>")
    if not (yield from read.take(*closers)) and (
        (yield from read.over(compiled(closers))) or (yield from ELEMENT.half(read))
    ):
        return BROKEN
    return items if members.keys() <= {"item"} else members


OPENERS = (MARK + "<tool_call>", MARK + "<invoke", "<tool_call>")
DIALECT = Dialect(
    "minimax_m3",
    sample(__doc__),
    grammar,
    OPENERS,
    turns=(MARK,),
    marks=(MARK,),
    models="minimax-?m3",
)
