"""Kimi K2: a list of blocks, each with an id and JSON arguments.

The id consists of the tool's name and a number that counts calls across the whole conversation.

SAMPLE:
<|tool_calls_section_begin|><|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>{"path": "notes.md"}<|tool_call_end|><|tool_calls_section_end|>

Seen in practice: the markers of the list missing or in the singular; ids in which the client
replaced characters.
"""  # noqa: E501 - the sample is one line

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, sample
from proxy.parsing.grammars.block_calls import BlockFormat, CallHeading, block_dialect
from proxy.parsing.reader import Reader, Steps

ID = re.compile(r"[\w.:/@-]*")
PREFIX = re.compile(r"functions?[._:]?")
NUMBER = re.compile(r"(?:[:_.-]|(?<![0-9]))[0-9]++$")
WHOLE_ID = re.compile(r"functions\.[\w.-]+:[0-9]+")


def heading(reader: Reader, calls: CallWriter) -> Steps[CallHeading | None]:
    """Read an id and the marker after it."""
    yield from reader.skip_blanks()
    text = yield from reader.take_while(ID)
    yield from reader.skip_blanks()
    if not text or not (
        (yield from reader.take("<|tool_call_argument_begin|>")) or (yield from reader.peek("{"))
    ):
        return None
    name = tool_of_id(calls, text)
    return CallHeading(name, text if WHOLE_ID.fullmatch(text) else None) if name else None


def tool_of_id(calls: CallWriter, text: str) -> str | None:
    """Return the declared tool that an id refers to, or the name in the id if none matches.

    The prefix `functions.` and the number at the end are optional.
    """
    bare = PREFIX.sub("", text, count=1)
    for form in (text, bare, NUMBER.sub("", text), NUMBER.sub("", bare)):
        if name := calls.resolve_declared(form):
            return name
    return calls.resolve_name(re.sub(r":[0-9]+$", "", text))


BLOCK_FORMAT = BlockFormat(
    openers=("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"),
    block_openers=("<|tool_call_begin|>",),
    heading=heading,
    block_closers=("<|tool_call_end|>",),
    closers=("<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
    proof=re.compile(
        r"\s*(?:functions\.[\w.-]+:[0-9]+\s*(?:\{|<\|tool_call_arg)|"
        r"[\w.:-]+\s*<\|tool_call_argument_begin)"
    ),
)

DIALECT = block_dialect(
    "kimi_k2",
    sample(__doc__),
    BLOCK_FORMAT,
    tentative_openers=("functions.", A_NAME),
    end_tokens=("<|im_end|>",),
    template_markers=("<|tool_call_argument_begin|>",),
    model_pattern="kimi-?k2",
)
