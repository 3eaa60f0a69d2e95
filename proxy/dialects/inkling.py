"""Inkling: blocks of a declared type, each in a message; a call is JSON with `name` and `args`.

SAMPLE:
<|message_model|>read_file<|content_invoke_tool_json|>{"name": "read_file", "args": {"path": "notes.md"}}<|end_message|>

Seen as well: the first marker in the prompt; a call whose only argument is plain text; what a tool
reported.
"""  # noqa: E501 - the sample is one line

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.delimited_calls import Marks, marked_calls
from proxy.parsing.grammars.json_calls import Shape
from proxy.parsing.grammars.json_text import escaped
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.markers import compiled
from proxy.parsing.reader import Reader, Steps

MESSAGE, OPENER, END = "<|message_model|>", "<|content_invoke_tool_json|>", "<|end_message|>"
TEXT = "<|content_invoke_tool_text|>"
KNOWN_END = compiled((END,))
MARKS = Marks((OPENER,), (END,), Shape(ends=(END,)), objects_only=True)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    yield from read.take(MESSAGE)
    name = yield from read.run(NAME)
    if (yield from read.peek(OPENER)):
        yield from marked_calls(read, calls, MARKS)
    elif (yield from read.take(TEXT)):
        yield from _text(read, calls, calls.declared(name))


def _text(read: Reader, calls: Calls, name: str | None) -> Steps[None]:
    """A text for a tool that takes nothing else."""
    keys = list(calls.tools.kinds(name or ""))
    if name is None or len(keys) != 1:
        return
    calls.start(name)
    calls.key(keys[0])
    calls.write('"')
    if (yield from read.inside(KNOWN_END, lambda text: calls.write(escaped(text)))):
        calls.write('"')
        calls.end()


def message_missing(read: Reader, calls: Calls) -> Steps[None]:
    """The first marker of the first message stands in the prompt."""
    here = read.mark()
    name = calls.declared((yield from read.run(NAME)))
    follows = (yield from read.peek(OPENER, TEXT)) != ""
    read.rewind(here)
    read.release(here)
    if name and follows:
        yield from grammar(read, calls)


DIALECT = Dialect(
    "inkling",
    sample(__doc__),
    grammar=grammar,
    openers=(MESSAGE, OPENER),
    starts=(A_NAME,),
    doubtful=message_missing,
    headers=(MESSAGE, "<|content_text|>", "<|content_tool_error|>", "<|content_error|>"),
    turns=(END, "<|content_model_end_sampling|>"),
    marks=(OPENER,),
    models="inkling",
)
