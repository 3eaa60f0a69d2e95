"""Mistral: a marker, then an array of JSON objects; since v11 a marker before each call, then its
name and its JSON.

SAMPLE:
[TOOL_CALLS]read_file[ARGS]{"path": "notes.md"}

Seen as well: `[TOOL_CALLS] [{"name": …, "arguments": {…}, "id": …}]`, one object, no closing
bracket, an id, no `[ARGS]`, the first marker missing.
"""

import re
from functools import partial

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.block_calls import Head, Listing, listed_calls, opener_missing
from proxy.parsing.grammars.delimited_calls import Marks, marked_calls
from proxy.parsing.grammars.json_calls import Shape
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.reader import Reader, Steps

OPENER = ("[TOOL_CALLS]",)
MARKS = Marks(OPENER, ("[/TOOL_CALLS]",), Shape(ends=(*OPENER, "[/TOOL_CALLS]")), objects_only=True)


def heading(read: Reader, calls: Calls) -> Steps[Head | None]:
    yield from read.skip()
    name, id = calls.name((yield from read.run(NAME))), None
    yield from read.skip()
    if (yield from read.take("[CALL_ID]")):
        yield from read.skip()
        id = (yield from read.run(NAME)) or None
        yield from read.skip()
    if not ((yield from read.take("[ARGS]")) or (yield from read.peek("{"))):
        return None
    return Head(name, id) if name else None


LISTING = Listing(
    begins=OPENER, heading=heading, ends=(), proof=re.compile(r"\s*[\w.-]+\s*\[(?:ARGS|CALL_ID)\]")
)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    here = read.mark()
    yield from marked_calls(read, calls, MARKS)
    if not calls.count:
        read.rewind(here)
    read.release(here)
    if not calls.count:
        yield from listed_calls(read, calls, LISTING)


DIALECT = Dialect(
    "mistral",
    sample(__doc__),
    grammar=grammar,
    openers=OPENER,
    starts=(A_NAME,),
    doubtful=partial(opener_missing, listing=LISTING),
    turns=("</s>", "[/INST]"),
    marks=OPENER,
    models="mistral|mixtral|magistral|devstral|ministral|codestral|xlam",
    family=("generic_json",),
)
