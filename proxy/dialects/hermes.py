"""Hermes 2/3, Qwen2.5, Qwen3, QwQ, Granite 4 and many more: JSON between tags.

SAMPLE:
<tool_call>
{"name": "read_file", "arguments": {"path": "notes.md"}}
</tool_call>

Seen as well: other tags, either tag missing, several objects or an array in one tag, JSON in a fence, and in place of the JSON a call in
Python's syntax, a name before its arguments, or an element with the tool's name.
"""

from proxy.stream.call_objects import Shape, call_objects
from proxy.stream.calls import Calls
from proxy.stream.dialect import Dialect
from proxy.stream.element_calls import element_call
from proxy.stream.named_calls import named_call
from proxy.stream.reader import Reader, Steps
from proxy.stream.tagged_calls import closing_tag

OPENERS = ("<tool_call>", "<function_call>", "<tools>", "<tool>")
CLOSERS = ("</tool_call>", "</function_call>", "</tools>", "</tool>")
SHAPE = Shape(ends=CLOSERS)


def declared(calls: Calls, name: str) -> str | None:
    return calls.tools.declared(name.strip())


DECLARED = Shape(ends=CLOSERS, name=declared)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    while (yield from read.take(*OPENERS)):  # some write it twice
        yield from read.skip()
    fence = yield from read.take("```json", "```")
    yield from read.skip()
    if (yield from read.peek("{", "[")):
        yield from call_objects(read, calls, SHAPE)
    elif (yield from read.peek("<")):
        yield from element_call(read, calls, OPENERS, CLOSERS)
    else:
        yield from named_call(read, calls, CLOSERS)
    if calls.count and not calls.broken:
        yield from closing_tag(read, OPENERS, (*CLOSERS, "```") if fence else CLOSERS)


def opener_missing(read: Reader, calls: Calls) -> Steps[None]:
    """A template may have put the opening tag into the prompt: then the closing one proves the call."""
    yield from call_objects(read, calls, DECLARED)
    yield from read.skip()
    if not (yield from read.take(*CLOSERS)):
        calls.withdraw()


DIALECT = Dialect("hermes", grammar, OPENERS, starts=("{", "["), doubtful=opener_missing)
