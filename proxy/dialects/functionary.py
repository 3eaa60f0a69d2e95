"""Functionary v3.2: a line with the tool's name, or `all` for what is said, then its text.

(v3.1 writes like Llama 3.1.)

SAMPLE:
>>>read_file
{"path": "notes.md"}

Seen as well: the first `>>>` in the prompt, so that the answer begins with the name.
"""

from functools import partial

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.block_calls import Head, Listing, listed_calls
from proxy.parsing.grammars.call_arguments import json_body
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.reader import Reader, Steps


def heading(read: Reader, calls: Calls) -> Steps[Head | None]:
    name = calls.declared((yield from read.run(NAME)))
    return Head(name) if name and (yield from read.take("\n", "\r\n")) else None


def opener_missing(read: Reader, calls: Calls) -> Steps[None]:
    """Only the first line lacks its marker, and only an object with the next one or nothing
    behind it is a call.
    """
    head = yield from heading(read, calls)
    if head:
        yield from json_body(read, calls, head.name, ())
        yield from read.skip()
        yield from listed_calls(read, calls, LISTING)


LISTING = Listing(begins=(">>>",), heading=heading, ends=())

DIALECT = Dialect(
    "functionary",
    sample(__doc__),
    grammar=partial(listed_calls, listing=LISTING),
    openers=(">>>",),
    starts=(A_NAME,),
    doubtful=opener_missing,
    alone=True,
    headers=(">>>all\n",),
    marks=(">>>all",),
    models="functionary",
    family=("llama3", "qwen3_coder", "generic_json"),
)
