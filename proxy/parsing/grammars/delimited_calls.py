"""Calls between two markers: JSON in every shape, or what models write there in its place."""

from dataclasses import dataclass

from proxy.parsing.calls import CallWriter
from proxy.parsing.grammars.element_calls import element_call
from proxy.parsing.grammars.json_calls import JsonFormat, json_calls
from proxy.parsing.grammars.named_calls import python_calls
from proxy.parsing.grammars.xml_calls import closing_tag
from proxy.parsing.reader import Reader, Steps

FENCES = ("```json", "```python", "```")
ANY = JsonFormat()


@dataclass(frozen=True)
class Delimiters:
    openers: tuple[str, ...]
    closers: tuple[str, ...] = ()
    json_format: JsonFormat = ANY
    objects_only: bool = False  # the markers are too weak to prove anything but JSON


CLOSERS = (
    *(
        "</tool_call>",
        "</function_call>",
        "</tools>",
        "</tool>",
        "</tool_calls>",
        "</function_calls>",
        "</TOOLCALL>",
        "[/TOOL_CALLS]",
    ),
    *(
        "</longcat_tool_call>",
        "</iquest_tool_call>",
        "</ifm|tool_call>",
        "<|/tool_call|>",
        "<|tool_call_end|>",
        "<|python_end|>",
    ),
    *("<|action_end|>", "<|END_ACTION|>"),
)
"""All that close calls and nothing else."""
UNOPENED = Delimiters(
    (), CLOSERS, JsonFormat(ends=CLOSERS, resolve_name=CallWriter.resolve_declared)
)


def delimited_calls(reader: Reader, calls: CallWriter, delimiters: Delimiters) -> Steps[None]:
    """JSON, a call in Python's syntax, a name before its arguments, or an element with the
    tool's name.
    """
    while (yield from reader.take(*delimiters.openers)):  # some write it twice
        yield from reader.skip_blanks()
    fence = yield from _body(reader, calls, delimiters)
    if calls.count and not calls.aborted and not calls.open:
        yield from closing_tag(
            reader,
            delimiters.openers,
            (*delimiters.closers, "```") if fence else delimiters.closers,
        )


def opener_missing(reader: Reader, calls: CallWriter) -> Steps[None]:
    """The opening marker may have been lost, or stood in the prompt: then a closing one proves
    the call of a declared tool.
    """
    yield from _body(reader, calls, UNOPENED)
    yield from reader.skip_blanks()
    if not (yield from reader.take(*UNOPENED.closers)):
        calls.discard()


def _body(reader: Reader, calls: CallWriter, delimiters: Delimiters) -> Steps[str]:
    """What stands between the markers; the fence around it, if there is one."""
    fence = yield from reader.take(*FENCES)
    yield from reader.skip_blanks()
    if (yield from _object_follows(reader)):
        yield from json_calls(reader, calls, delimiters.json_format)
    elif delimiters.objects_only:
        pass
    elif (yield from reader.peek("<")):
        yield from element_call(reader, calls, delimiters.openers, delimiters.closers)
    else:
        yield from python_calls(
            reader, calls, delimiters.closers, delimiters.json_format.resolve_name
        )
    return fence


def _object_follows(reader: Reader) -> Steps[bool]:
    here = reader.mark()
    while (yield from reader.take("[")):
        yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    reader.rewind(here)
    reader.release(here)
    return letter == "{"
