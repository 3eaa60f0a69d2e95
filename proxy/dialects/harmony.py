"""gpt-oss: messages with headers.

The channel says what is thought and what is said, the recipient which tool is called.

SAMPLE:
<|channel|>commentary to=functions.read_file <|constrain|>json<|message|>{"path": "notes.md"}<|call|>

Seen as well: the recipient in the role, on another channel or twice; other content types; headers
with words in the wrong place; the beginning of the first header in the prompt.
"""  # noqa: E501 - the sample is one line

import re

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, Region, sample
from proxy.parsing.grammars.call_arguments import payload
from proxy.parsing.reader import Reader, Steps

HEADERS = ("<|start|>", "<|channel|>")
MESSAGE = "<|message|>"
CHANNELS = ("analysis", "commentary", "final")
FIRST = (
    *("to=", "assistant to=", "assistant<|channel|>", "assistant<|message|>", MESSAGE),
    *(channel + behind for channel in CHANNELS for behind in (" to=", MESSAGE)),
)
"""How an answer begins whose header was begun by the prompt."""
ENDS = ("<|end|>", "<|return|>", "<|call|>")
RECIPIENT = re.compile(r"to=([\w.:/@-]+)")
CHANNEL = re.compile(rf"(?:<\|channel\|>\s*(?:<\|\w+\|>\s*)*|^)({'|'.join(CHANNELS)})")
BROKEN = re.compile(r"\n\s*\n|[.!?]\s")
"""No header reaches over a paragraph, or a sentence."""


def header(read: Reader) -> Steps[str]:
    """A whole header, read; empty if none comes."""
    text = yield from read.upto(0, MESSAGE)
    if not text.endswith(MESSAGE) or BROKEN.search(text):
        return ""
    read.drop(len(text))
    return text


def called(text: str) -> list[str]:
    """The tools that a header names."""
    return [
        one for one in RECIPIENT.findall(text) if one not in ("user", "self", "assistant", "all")
    ]


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    tools = called((yield from header(read)))
    name = calls.name(tools[-1].rstrip(".")) if tools else None
    if name:
        yield from payload(read, calls, name, (*ENDS, *HEADERS))
        yield from read.skip()
        yield from read.take_half(*ENDS)


def frame(read: Reader) -> Steps[Region | None]:
    text = yield from header(read)
    if not text:
        return None
    if called(text):
        return Region() if (yield from read.peek("<atem:")) else None
    channels = CHANNEL.findall(text)
    if "to=self" in text or (channels and channels[-1] == "analysis"):
        return Region((*ENDS, "<|eom|>"), HEADERS)
    return Region(silent="to=user" in text)


DIALECT = Dialect(
    "harmony",
    sample(__doc__),
    grammar=grammar,
    openers=HEADERS,
    first_openers=FIRST,
    headers=(*HEADERS, *FIRST),
    frame=frame,
    turns=(*ENDS, "<|eom|>", "<|eot|>"),
    marks=("<|channel|>",),
    models="gpt-?oss|muse",
)
