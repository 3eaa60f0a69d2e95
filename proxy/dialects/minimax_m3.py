"""MiniMax-M3: nested elements named after the parameters, with a marker before every tag.

SAMPLE:
]<]minimax[>[<tool_call>
]<]minimax[>[<invoke name="read_file">
]<]minimax[>[<path>notes.md]<]minimax[>[</path>
]<]minimax[>[</invoke>
]<]minimax[>[</tool_call>

Seen in practice: the marker missing before a closing tag or before the first tag.
"""

import json
import re
from typing import Any

from proxy.parsing.calls import CallWriter
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
"""Result for elements that are nested too deep or incomplete."""


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a block of calls."""
    while (yield from reader.take(MARK + "<tool_call>", "<tool_call>")):
        yield from reader.skip_blanks()
    while True:
        here, before = reader.mark(), calls.count
        name = calls.resolve_name((yield from _tag(reader, MARKED, UNMARKED)))
        while name and (yield from _parameter(reader, calls, name)):
            pass
        if name and not calls.aborted:
            yield from _end(reader, calls, name)
        if calls.count == before:
            reader.rewind(here)
        reader.release(here)
        if calls.count == before or calls.aborted:
            break
    if calls.count and not calls.aborted:
        yield from closing_tag(reader, (), NEXT[:2])


def _tag(reader: Reader, *tags: Tag) -> Steps[str]:
    """Read the next tag and the whitespace before it; return its name, or "" if no tag follows."""
    yield from reader.skip_blanks()
    for tag in tags:
        if found := (yield from tag.match(reader)):
            reader.advance(found.end())
            return found[1]
    return ""


def _end(reader: Reader, calls: CallWriter, name: str) -> Steps[None]:
    """Read the closing tag, or the tag that follows in its place, and end the call.

    At the end of the text, a partial closing tag is enough. A partial parameter tag aborts the
    call.
    """
    met = (yield from reader.peek(*NEXT)) or (yield from reader.take_partial(*CLOSERS, *NEXT[:2]))
    half = not met and (yield from ELEMENT.take_partial(reader))
    whole = met != "" or (
        not half and not (yield from reader.peek_char()) and calls.open and not reader.cut
    )
    if whole and not calls.open:
        calls.start(name)
    if whole:
        calls.end()
    elif calls.open:
        calls.abort()


def _parameter(reader: Reader, calls: CallWriter, tool: str) -> Steps[bool]:
    """Read one parameter; return False if none follows or the call is aborted."""
    name = yield from _tag(reader, ELEMENT)
    if not name:
        return False
    if not calls.open:
        calls.start(tool)
    if (yield from _nests(reader)):
        calls.key(name)
        here = reader.mark()  # the mark limits how much text is buffered
        inner = yield from _inner(reader, name, 0)
        reader.release(here)
        if inner is not BROKEN and (yield from reader.peek_char()):
            calls.write(compact(inner))
            return True
        calls.abort()  # broken, or at the end of the text, where more elements may be missing
        return False
    value = RawValue(calls, name, "pair")
    value.set_lead((yield from reader.take("\r\n", "\n")))
    if (yield from _text(reader, name, value.write)):
        value.end()
        return True
    calls.abort()
    return False


def _text(reader: Reader, name: str, emit: Emit) -> Steps[bool]:
    """Read the text of the element `name` and its closing tag; return False if it is incomplete.

    The text also ends before the marker of another tag. A closing tag without its marker counts
    only at the end of the text or before a marker.
    """
    bare = f"</{name}>"
    known, closer = compiled((MARK, bare)), compiled((MARK + bare,))
    while met := (yield from reader.find_inside(known, emit)):
        if met == bare:
            gap = yield from reader.skip_blanks()
            if not (yield from reader.peek_char()) or (yield from reader.peek(MARK)):
                return True
            emit(bare + gap)
            continue
        reader.back(len(MARK))
        if (yield from reader.take(MARK + bare)):
            return True
        return not ((yield from reader.at_end(closer)) or (yield from ELEMENT.take_partial(reader)))
    return False


def _nests(reader: Reader) -> Steps[bool]:
    """Return whether this element contains elements instead of text; read nothing."""
    here = reader.mark()
    yield from reader.skip_blanks()
    inside = (yield from ELEMENT.match(reader)) is not None
    reader.rewind(here)
    reader.release(here)
    return inside


def _inner(reader: Reader, name: str, depth: int) -> Steps[Any]:
    """Read the elements inside `name`: an array if all of them are `item`, else an object.

    Return BROKEN if they are nested too deep or incomplete.
    """
    items: list[Any] = []
    members: dict[str, Any] = {}
    while key := (yield from _tag(reader, ELEMENT)):
        if (yield from _nests(reader)):
            value = (yield from _inner(reader, key, depth + 1)) if depth < DEPTH_LIMIT else BROKEN
        else:
            parts: list[str] = []
            yield from _text(reader, key, parts.append)
            value = json.loads(typed("".join(parts), NO_STRING))
        if value is BROKEN:
            return BROKEN
        items.append(value)
        members[key] = value
    closers = (f"{MARK}</{name}>", f"</{name}>")
    if not (yield from reader.take(*closers)) and (
        (yield from reader.at_end(compiled(closers))) or (yield from ELEMENT.take_partial(reader))
    ):
        return BROKEN
    return items if members.keys() <= {"item"} else members


OPENERS = (MARK + "<tool_call>", MARK + "<invoke", "<tool_call>")
DIALECT = Dialect(
    "minimax_m3",
    sample(__doc__),
    grammar,
    OPENERS,
    end_tokens=(MARK,),
    template_markers=(MARK,),
    model_pattern="minimax-?m3",
)
