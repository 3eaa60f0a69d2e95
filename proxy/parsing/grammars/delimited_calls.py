"""Calls between two markers: JSON in every shape, or what models write there in its place."""

from dataclasses import dataclass

from proxy.parsing.calls import Calls
from proxy.parsing.grammars.element_calls import element_call
from proxy.parsing.grammars.json_calls import Shape, call_objects
from proxy.parsing.grammars.named_calls import python_calls
from proxy.parsing.grammars.xml_calls import closing_tag
from proxy.parsing.reader import Reader, Steps

FENCES = ("```json", "```python", "```")
ANY = Shape()


@dataclass(frozen=True)
class Marks:
    openers: tuple[str, ...]
    closers: tuple[str, ...] = ()
    shape: Shape = ANY
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
UNOPENED = Marks((), CLOSERS, Shape(ends=CLOSERS, name=Calls.declared))


def marked_calls(read: Reader, calls: Calls, marks: Marks) -> Steps[None]:
    """JSON, a call in Python's syntax, a name before its arguments, or an element with the
    tool's name.
    """
    while (yield from read.take(*marks.openers)):  # some write it twice
        yield from read.skip()
    fence = yield from _body(read, calls, marks)
    if calls.count and not calls.broken and not calls.open:
        yield from closing_tag(
            read, marks.openers, (*marks.closers, "```") if fence else marks.closers
        )


def opener_missing(read: Reader, calls: Calls) -> Steps[None]:
    """The opening marker may have been lost, or stood in the prompt: then a closing one proves
    the call of a declared tool.
    """
    yield from _body(read, calls, UNOPENED)
    yield from read.skip()
    if not (yield from read.take(*UNOPENED.closers)):
        calls.withdraw()


def _body(read: Reader, calls: Calls, marks: Marks) -> Steps[str]:
    """What stands between the markers; the fence around it, if there is one."""
    fence = yield from read.take(*FENCES)
    yield from read.skip()
    if (yield from _object_follows(read)):
        yield from call_objects(read, calls, marks.shape)
    elif marks.objects_only:
        pass
    elif (yield from read.peek("<")):
        yield from element_call(read, calls, marks.openers, marks.closers)
    else:
        yield from python_calls(read, calls, marks.closers, marks.shape.name)
    return fence


def _object_follows(read: Reader) -> Steps[bool]:
    here = read.mark()
    while (yield from read.take("[")):
        yield from read.skip()
    letter = yield from read.next()
    read.rewind(here)
    read.release(here)
    return letter == "{"
