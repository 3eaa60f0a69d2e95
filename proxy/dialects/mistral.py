"""Mistral: a marker and an array of JSON objects; since v11 a marker, name and JSON per call.

SAMPLE:
[TOOL_CALLS]read_file[ARGS]{"path": "notes.md"}

Seen in practice: `[TOOL_CALLS] [{"name": …, "arguments": {…}, "id": …}]`; one object; no closing
bracket; an id; no `[ARGS]`; the first marker missing.
"""

import re
from functools import partial

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.block_calls import (
    BlockFormat,
    CallHeading,
    block_calls,
    opener_missing,
)
from proxy.parsing.grammars.delimited_calls import Delimiters, delimited_calls
from proxy.parsing.grammars.json_calls import JsonFormat
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.reader import Reader, Steps

OPENER = ("[TOOL_CALLS]",)
DELIMITERS = Delimiters(
    OPENER, ("[/TOOL_CALLS]",), JsonFormat(ends=(*OPENER, "[/TOOL_CALLS]")), objects_only=True
)


def heading(reader: Reader, calls: CallWriter) -> Steps[CallHeading | None]:
    """Read a name, an optional `[CALL_ID]` and the marker of the arguments."""
    yield from reader.skip_blanks()
    name, id = calls.resolve_name((yield from reader.take_while(NAME))), None
    yield from reader.skip_blanks()
    if (yield from reader.take("[CALL_ID]")):
        yield from reader.skip_blanks()
        id = (yield from reader.take_while(NAME)) or None
        yield from reader.skip_blanks()
    if not ((yield from reader.take("[ARGS]")) or (yield from reader.peek("{"))):
        return None
    return CallHeading(name, id) if name else None


BLOCK_FORMAT = BlockFormat(
    block_openers=OPENER,
    heading=heading,
    block_closers=(),
    proof=re.compile(r"\s*[\w.-]+\s*\[(?:ARGS|CALL_ID)\]"),
)


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read an array of JSON objects, else one block per call."""
    here = reader.mark()
    yield from delimited_calls(reader, calls, DELIMITERS)
    if not calls.count:
        reader.rewind(here)
    reader.release(here)
    if not calls.count:
        yield from block_calls(reader, calls, BLOCK_FORMAT)


DIALECT = Dialect(
    "mistral",
    sample(__doc__),
    grammar=grammar,
    openers=OPENER,
    tentative_openers=(A_NAME,),
    tentative_grammar=partial(opener_missing, block_format=BLOCK_FORMAT),
    end_tokens=("</s>", "[/INST]"),
    template_markers=OPENER,
    model_pattern="mistral|mixtral|magistral|devstral|ministral|codestral|xlam",
    family=("generic_json",),
)
