"""Bare JSON as the whole answer, with or without a code fence.

Used by xLAM, Qwen2.5-Coder, and models that are prompted to answer in this format. Only a call to a
declared tool with an arguments object is recognized.

SAMPLE:
{"name": "read_file", "arguments": {"path": "notes.md"}}

Seen in practice: an array; `tool_call` or `tool_calls` around the object.
"""

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.json_calls import JsonFormat, json_calls
from proxy.parsing.grammars.json_text import key
from proxy.parsing.reader import Reader, Steps

STRICT = JsonFormat(resolve_name=CallWriter.resolve_declared, strict=True)


def bare_objects(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read call objects, or the list in a `tool_calls` member."""
    here = reader.mark()
    listed = (yield from reader.take("{")) and (yield from key(reader)) == "tool_calls"
    if not listed:
        reader.rewind(here)
    reader.release(here)
    yield from json_calls(reader, calls, STRICT)


DIALECT = Dialect(
    "generic_json",
    sample(__doc__),
    tentative_openers=("{", "["),
    tentative_grammar=bare_objects,
    whole_message_only=True,
    model_pattern="xlam|coder",
)
