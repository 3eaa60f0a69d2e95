"""Hermes 2/3, Qwen2.5, Qwen3, QwQ, Ernie 4.5, Granite 4 and many more: JSON between tags.

SAMPLE:
<tool_call>
{"name": "read_file", "arguments": {"path": "notes.md"}}
</tool_call>

Seen as well: other tags, either tag missing, several objects or an array in one tag, JSON in a fence, and in place of the JSON a call in
Python's syntax, a name before its arguments, or an element with the tool's name.
"""

from dataclasses import replace

from proxy.stream.call_objects import Shape, call_objects
from proxy.stream.calls import Calls
from proxy.stream.dialect import Dialect, sample
from proxy.stream.marked_calls import Marks, marked_calls
from proxy.stream.reader import Reader, Steps

OPENERS = ("<tool_call>", "<function_call>")
WEAK = ("<tools>", "<tool>")
CLOSERS = ("</tool_call>", "</function_call>", "</tools>", "</tool>")
DECLARED = Shape(ends=CLOSERS, name=Calls.declared)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    weak = (yield from read.peek(*WEAK)) != ""
    shape = replace(DECLARED, strict=True) if weak else Shape(ends=CLOSERS)
    yield from marked_calls(read, calls, Marks((*OPENERS, *WEAK), CLOSERS, shape, objects_only=weak))


def opener_missing(read: Reader, calls: Calls) -> Steps[None]:
    """A template may have put the opening tag into the prompt: then the closing one proves the call."""
    yield from call_objects(read, calls, DECLARED)
    yield from read.skip()
    if not (yield from read.take(*CLOSERS)):
        calls.withdraw()


DIALECT = Dialect(
    "hermes",
    sample(__doc__),
    grammar=grammar,
    openers=(*OPENERS, *WEAK),
    starts=("{", "["),
    doubtful=opener_missing,
    turns=("<|im_end|>",),
    marks=('<tool_call>\\n{"name"', "<tool_call>\n{"),
    models=r"hermes|qwen-?2|qwen-?3-|qwq|ernie|granite-4",
)
