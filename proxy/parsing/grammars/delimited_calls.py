"""Grammar for tool calls between two markers: JSON, or another notation in its place."""

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
    """Markers around a call, and the JSON format between them."""

    openers: tuple[str, ...]
    closers: tuple[str, ...] = ()
    json_format: JsonFormat = ANY
    objects_only: bool = False  # accept only JSON: the markers also occur in ordinary text


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
"""Closing markers of all dialects that never close anything but a call."""
UNOPENED = Delimiters(
    (), CLOSERS, JsonFormat(ends=CLOSERS, resolve_name=CallWriter.resolve_declared)
)


def delimited_calls(reader: Reader, calls: CallWriter, delimiters: Delimiters) -> Steps[None]:
    """Read the call or calls between `delimiters`, with the markers around them.

    A call may be JSON, Python syntax (`name(key="value")`), a name before a JSON object, or an
    element named after the tool.
    """
    while (yield from reader.take(*delimiters.openers)):  # some models repeat the opener
        yield from reader.skip_blanks()
    fence = yield from _body(reader, calls, delimiters)
    if calls.count and not calls.aborted and not calls.open:
        yield from closing_tag(
            reader,
            delimiters.openers,
            (*delimiters.closers, "```") if fence else delimiters.closers,
        )


def opener_missing(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a call to a declared tool that has a closing marker but no opening one.

    The opening marker may be missing or part of the prompt. Without the closing marker, the text is
    no call.
    """
    yield from _body(reader, calls, UNOPENED)
    yield from reader.skip_blanks()
    if not (yield from reader.take(*UNOPENED.closers)):
        calls.discard()


def _body(reader: Reader, calls: CallWriter, delimiters: Delimiters) -> Steps[str]:
    """Read the calls between the markers; return the code fence that opens them, or `""`."""
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
    """Return whether an object or an array of objects comes next; read nothing."""
    here = reader.mark()
    while (yield from reader.take("[")):
        yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    reader.rewind(here)
    reader.release(here)
    return letter == "{"
