"""Apertus: an array of objects between two markers; the name of each tool is the key of its
arguments.

SAMPLE:
<|tools_prefix|>[{"read_file": {"path": "notes.md"}}]<|tools_suffix|>
"""

import re

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.call_arguments import payload
from proxy.parsing.grammars.json_text import key
from proxy.parsing.reader import Reader, Steps

OPENER, CLOSER = "<|tools_prefix|>", "<|tools_suffix|>"
BETWEEN = re.compile(r"[\s\[\]{},]*")


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    yield from read.take(OPENER)
    while True:
        here, before = read.mark(), calls.count
        opened = "{" in (yield from read.run(BETWEEN))
        if opened and (yield from read.peek('"', "'")):
            name = calls.name((yield from key(read)) or "")
            if name:
                yield from payload(read, calls, name, (CLOSER,))
        elif calls.count:
            if not (yield from read.take_half(CLOSER)) and (yield from read.next()):
                read.rewind(here)
            read.release(here)
            return
        if calls.count == before:
            read.rewind(here)
        read.release(here)
        if calls.count == before or calls.broken:
            return


DIALECT = Dialect(
    "apertus",
    sample(__doc__),
    grammar=grammar,
    openers=(OPENER,),
    turns=("<|assistant_end|>",),
    marks=(OPENER,),
    models="apertus",
)
