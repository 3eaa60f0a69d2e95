"""Inkling: messages with a content type; a call is a JSON object with `name` and `args`.

SAMPLE:
<|message_model|>read_file<|content_invoke_tool_json|>{"name": "read_file", "args": {"path": "notes.md"}}<|end_message|>

Seen in practice: the first marker in the prompt; a call whose only argument is plain text; messages
with the error of a tool.
"""  # noqa: E501 - the sample is one line

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.delimited_calls import Delimiters, delimited_calls
from proxy.parsing.grammars.json_calls import JsonFormat
from proxy.parsing.grammars.json_text import escaped
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.markers import compiled
from proxy.parsing.reader import Reader, Steps

MESSAGE, OPENER, END = "<|message_model|>", "<|content_invoke_tool_json|>", "<|end_message|>"
TEXT = "<|content_invoke_tool_text|>"
KNOWN_END = compiled((END,))
DELIMITERS = Delimiters((OPENER,), (END,), JsonFormat(ends=(END,)), objects_only=True)


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a message that contains a call."""
    yield from reader.take(MESSAGE)
    name = yield from reader.take_while(NAME)
    if (yield from reader.peek(OPENER)):
        yield from delimited_calls(reader, calls, DELIMITERS)
    elif (yield from reader.take(TEXT)):
        yield from _text(reader, calls, calls.resolve_declared(name))


def _text(reader: Reader, calls: CallWriter, name: str | None) -> Steps[None]:
    """Read plain text as the argument of a tool that declares exactly one parameter."""
    keys = list(calls.tools.kinds(name or ""))
    if name is None or len(keys) != 1:
        return
    calls.start(name)
    calls.key(keys[0])
    calls.write('"')
    if (yield from reader.find_inside(KNOWN_END, lambda text: calls.write(escaped(text)))):
        calls.write('"')
        calls.end()


def message_missing(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a call whose first marker is part of the prompt."""
    here = reader.mark()
    name = calls.resolve_declared((yield from reader.take_while(NAME)))
    follows = (yield from reader.peek(OPENER, TEXT)) != ""
    reader.rewind(here)
    reader.release(here)
    if name and follows:
        yield from grammar(reader, calls)


DIALECT = Dialect(
    "inkling",
    sample(__doc__),
    grammar=grammar,
    openers=(MESSAGE, OPENER),
    tentative_openers=(A_NAME,),
    tentative_grammar=message_missing,
    headers=(MESSAGE, "<|content_text|>", "<|content_tool_error|>", "<|content_error|>"),
    end_tokens=(END, "<|content_model_end_sampling|>"),
    template_markers=(OPENER,),
    model_pattern="inkling",
)
