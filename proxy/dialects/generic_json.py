"""Bare JSON that is the whole answer, in a fence or not: xLAM, Qwen2.5-Coder, and whoever was told
to answer so.

SAMPLE:
{"name": "read_file", "arguments": {"path": "notes.md"}}

Seen as well: an array, `tool_call` or `tool_calls` around it. Only a declared tool with an object
of arguments is believed.
"""

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.json_calls import Shape, call_objects
from proxy.parsing.grammars.json_text import key
from proxy.parsing.reader import Reader, Steps

STRICT = Shape(name=Calls.declared, strict=True)


def bare_objects(read: Reader, calls: Calls) -> Steps[None]:
    here = read.mark()
    listed = (yield from read.take("{")) and (yield from key(read)) == "tool_calls"
    if not listed:
        read.rewind(here)
    read.release(here)
    yield from call_objects(read, calls, STRICT)


DIALECT = Dialect(
    "generic_json",
    sample(__doc__),
    starts=("{", "["),
    doubtful=bare_objects,
    alone=True,
    models="xlam|coder",
)
