"""Inkling: blocks of a declared type, each in a message; a call is JSON with `name` and `args`.

SAMPLE:
<|message_model|>read_file<|content_invoke_tool_json|>{"name": "read_file", "args": {"path": "notes.md"}}<|end_message|>
"""

from proxy.stream.call_objects import Shape
from proxy.stream.calls import Calls
from proxy.stream.dialect import Dialect, sample
from proxy.stream.marked_calls import Marks, marked_calls
from proxy.stream.named_calls import NAME
from proxy.stream.reader import Reader, Steps

MESSAGE, OPENER, END = "<|message_model|>", "<|content_invoke_tool_json|>", "<|end_message|>"
MARKS = Marks((OPENER,), (END,), Shape(ends=(END,)), objects_only=True)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    yield from read.take(MESSAGE)
    yield from read.run(NAME)
    if (yield from read.peek(OPENER)):
        yield from marked_calls(read, calls, MARKS)


DIALECT = Dialect(
    "inkling",
    sample(__doc__),
    grammar=grammar,
    openers=(MESSAGE, OPENER),
    headers=(MESSAGE, "<|content_text|>"),
    turns=(END, "<|content_model_end_sampling|>"),
    marks=(OPENER,),
    models="inkling",
)
