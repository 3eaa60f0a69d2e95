"""Hermes 2/3, Qwen2.5, Qwen3, QwQ, Ernie 4.5, Granite 4 and many more: JSON between tags.

SAMPLE:
<tool_call>
{"name": "read_file", "arguments": {"path": "notes.md"}}
</tool_call>

Seen as well: other tags, either tag missing, several objects or an array in one tag, JSON in a
fence, and in place of the JSON a call in Python's syntax, a name before its arguments, or an
element with the tool's name.
"""

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.delimited_calls import Marks, marked_calls, opener_missing
from proxy.parsing.grammars.json_calls import Shape
from proxy.parsing.reader import Reader, Steps

OPENERS = ("<tool_call>", "<function_call>")
WEAK = ("<tools>", "<tool>")
CLOSERS = ("</tool_call>", "</function_call>", "</tools>", "</tool>")
SURE, DOUBTED = Shape(ends=CLOSERS), Shape(ends=CLOSERS, name=Calls.declared, strict=True)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    weak = (yield from read.peek(*WEAK)) != ""
    yield from marked_calls(
        read, calls, Marks((*OPENERS, *WEAK), CLOSERS, DOUBTED if weak else SURE, objects_only=weak)
    )


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
