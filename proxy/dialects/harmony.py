"""gpt-oss: messages with headers.

The channel separates reasoning from the answer, and the recipient names the tool to call.

SAMPLE:
<|channel|>commentary to=functions.read_file <|constrain|>json<|message|>{"path": "notes.md"}<|call|>

Seen in practice: the recipient in the role, on another channel, or twice; other content types;
misplaced words in a header; the beginning of the first header in the prompt.
"""  # noqa: E501 - the sample is one line

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, Region, sample
from proxy.parsing.grammars.call_arguments import arguments_payload
from proxy.parsing.reader import Reader, Steps

HEADERS = ("<|start|>", "<|channel|>")
MESSAGE = "<|message|>"
CHANNELS = ("analysis", "commentary", "final")
FIRST = (
    *("to=", "assistant to=", "assistant<|channel|>", "assistant<|message|>", MESSAGE),
    *(channel + behind for channel in CHANNELS for behind in (" to=", MESSAGE)),
)
"""Beginnings of an answer whose first header begins in the prompt."""
ENDS = ("<|end|>", "<|return|>", "<|call|>")
RECIPIENT = re.compile(r"to=([\w.:/@-]+)")
CHANNEL = re.compile(rf"(?:<\|channel\|>\s*(?:<\|\w+\|>\s*)*|^)({'|'.join(CHANNELS)})")
BROKEN = re.compile(r"\n\s*\n|[.!?]\s")
"""Text that no header contains: the end of a paragraph or sentence."""


def header(reader: Reader) -> Steps[str]:
    """Read a whole header and return it, or "" if none follows."""
    text = yield from reader.lookahead_to(0, MESSAGE)
    if not text.endswith(MESSAGE) or BROKEN.search(text):
        return ""
    reader.advance(len(text))
    return text


def recipients(text: str) -> list[str]:
    """Return the tools that a header names as recipients."""
    return [
        one for one in RECIPIENT.findall(text) if one not in ("user", "self", "assistant", "all")
    ]


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a message that is addressed to a tool as a call of that tool."""
    tools = recipients((yield from header(reader)))
    name = calls.resolve_name(tools[-1].rstrip(".")) if tools else None
    if name:
        yield from arguments_payload(reader, calls, name, (*ENDS, *HEADERS))
        yield from reader.skip_blanks()
        yield from reader.take_partial(*ENDS)


def header_grammar(reader: Reader) -> Steps[Region | None]:
    """Read a header and return the meaning of the text after it, or None if there is no header."""
    text = yield from header(reader)
    if not text:
        return None
    if recipients(text):
        return Region() if (yield from reader.peek("<atem:")) else None
    channels = CHANNEL.findall(text)
    if "to=self" in text or (channels and channels[-1] == "analysis"):
        return Region((*ENDS, "<|eom|>"), HEADERS)
    return Region(no_calls="to=user" in text)


DIALECT = Dialect(
    "harmony",
    sample(__doc__),
    grammar=grammar,
    openers=HEADERS,
    first_openers=FIRST,
    headers=(*HEADERS, *FIRST),
    header_grammar=header_grammar,
    end_tokens=(*ENDS, "<|eom|>", "<|eot|>"),
    template_markers=("<|channel|>",),
    model_pattern="gpt-?oss|muse",
)
