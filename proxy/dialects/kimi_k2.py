"""Kimi K2: a list of blocks; the head of each is an id, made of the tool's name and a number that
counts over the whole conversation.

SAMPLE:
<|tool_calls_section_begin|><|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>{"path": "notes.md"}<|tool_call_end|><|tool_calls_section_end|>

Seen as well: the markers of the list missing, or in the singular; ids in which a client has
replaced letters.
"""  # noqa: E501 - the sample is one line

import re

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import A_NAME, sample
from proxy.parsing.grammars.block_calls import Head, Listing, listed
from proxy.parsing.reader import Reader, Steps

ID = re.compile(r"[\w.:/@-]*")
PREFIX = re.compile(r"functions?[._:]?")
NUMBER = re.compile(r"(?:[:_.-]|(?<![0-9]))[0-9]++$")
WHOLE_ID = re.compile(r"functions\.[\w.-]+:[0-9]+")


def heading(read: Reader, calls: Calls) -> Steps[Head | None]:
    yield from read.skip()
    text = yield from read.run(ID)
    yield from read.skip()
    if not text or not (
        (yield from read.take("<|tool_call_argument_begin|>")) or (yield from read.peek("{"))
    ):
        return None
    name = meant(calls, text)
    return Head(name, text if WHOLE_ID.fullmatch(text) else None) if name else None


def meant(calls: Calls, text: str) -> str | None:
    """The declared tool that an id names, whatever was done to it; the longest one.

    Or what it says.
    """
    bare = PREFIX.sub("", text, count=1)
    for form in (text, bare, NUMBER.sub("", text), NUMBER.sub("", bare)):
        if name := calls.declared(form):
            return name
    return calls.name(re.sub(r":[0-9]+$", "", text))


LISTING = Listing(
    openers=("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"),
    begins=("<|tool_call_begin|>",),
    heading=heading,
    ends=("<|tool_call_end|>",),
    closers=("<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
    proof=re.compile(
        r"\s*(?:functions\.[\w.-]+:[0-9]+\s*(?:\{|<\|tool_call_arg)|"
        r"[\w.:-]+\s*<\|tool_call_argument_begin)"
    ),
)

DIALECT = listed(
    "kimi_k2",
    sample(__doc__),
    LISTING,
    starts=("functions.", A_NAME),
    turns=("<|im_end|>",),
    marks=("<|tool_call_argument_begin|>",),
    models="kimi-?k2",
)
