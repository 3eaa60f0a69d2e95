"""Functionary v3.2: the tool's name on a line, then its arguments; `all` marks the answer.

Version 3.1 uses the format of Llama 3.1.

SAMPLE:
>>>read_file
{"path": "notes.md"}

Seen in practice: the first `>>>` in the prompt, so that the answer begins with the name.
"""

from functools import partial

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.block_calls import BlockFormat, CallHeading, block_calls
from proxy.parsing.grammars.call_arguments import json_body
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.reader import Reader, Steps


def heading(reader: Reader, calls: CallWriter) -> Steps[CallHeading | None]:
    """Read a line with the name of a declared tool."""
    name = calls.resolve_declared((yield from reader.take_while(NAME)))
    return CallHeading(name) if name and (yield from reader.take("\n", "\r\n")) else None


def opener_missing(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read calls whose first marker is part of the prompt."""
    head = yield from heading(reader, calls)
    if head:
        yield from json_body(reader, calls, head.name, ())
        yield from reader.skip_blanks()
        yield from block_calls(reader, calls, BLOCK_FORMAT)


BLOCK_FORMAT = BlockFormat(block_openers=(">>>",), heading=heading, block_closers=())

DIALECT = Dialect(
    "functionary",
    sample(__doc__),
    grammar=partial(block_calls, block_format=BLOCK_FORMAT),
    openers=(">>>",),
    tentative_openers=(A_NAME,),
    tentative_grammar=opener_missing,
    whole_message_only=True,
    headers=(">>>all\n",),
    template_markers=(">>>all",),
    model_pattern="functionary",
    family=("llama3", "qwen3_coder", "generic_json"),
)
