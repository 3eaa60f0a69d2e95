"""Apertus: an array of objects between two markers, with the tool's name as the key.

SAMPLE:
<|tools_prefix|>[{"read_file": {"path": "notes.md"}}]<|tools_suffix|>
"""

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.call_arguments import arguments_payload
from proxy.parsing.grammars.json_text import key
from proxy.parsing.reader import Reader, Steps

OPENER, CLOSER = "<|tools_prefix|>", "<|tools_suffix|>"
BETWEEN = re.compile(r"[\s\[\]{},]*")


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read an array of call objects and the markers around it."""
    yield from reader.take(OPENER)
    while True:
        here, before = reader.mark(), calls.count
        opened = "{" in (yield from reader.take_while(BETWEEN))
        if opened and (yield from reader.peek('"', "'")):
            name = calls.resolve_name((yield from key(reader)) or "")
            if name:
                yield from arguments_payload(reader, calls, name, (CLOSER,))
        elif calls.count:
            if not (yield from reader.take_partial(CLOSER)) and (yield from reader.peek_char()):
                reader.rewind(here)
            reader.release(here)
            return
        if calls.count == before:
            reader.rewind(here)
        reader.release(here)
        if calls.count == before or calls.aborted:
            return


DIALECT = Dialect(
    "apertus",
    sample(__doc__),
    grammar=grammar,
    openers=(OPENER,),
    end_tokens=("<|assistant_end|>",),
    template_markers=(OPENER,),
    model_pattern="apertus",
)
