"""Calls between two markers: JSON in every shape, or what models write there in its place."""

from dataclasses import dataclass

from proxy.stream.call_objects import Shape, call_objects
from proxy.stream.calls import Calls
from proxy.stream.element_calls import element_call
from proxy.stream.named_calls import python_calls
from proxy.stream.reader import Reader, Steps
from proxy.stream.tagged_calls import closing_tag

FENCES = ("```json", "```python", "```")
ANY = Shape()


@dataclass(frozen=True)
class Marks:
    openers: tuple[str, ...]
    closers: tuple[str, ...] = ()
    shape: Shape = ANY
    objects_only: bool = False  # the markers are too weak to prove anything but JSON


def marked_calls(read: Reader, calls: Calls, marks: Marks) -> Steps[None]:
    """JSON, a call in Python's syntax, a name before its arguments, or an element with the tool's name."""
    while (yield from read.take(*marks.openers)):  # some write it twice
        yield from read.skip()
    fence = yield from read.take(*FENCES)
    yield from read.skip()
    if (yield from _object_follows(read)):
        yield from call_objects(read, calls, marks.shape)
    elif marks.objects_only:
        return
    elif (yield from read.peek("<")):
        yield from element_call(read, calls, marks.openers, marks.closers)
    else:
        yield from python_calls(read, calls, marks.closers, marks.shape.name)
    if calls.count and not calls.broken and not calls.open:
        yield from closing_tag(read, marks.openers, (*marks.closers, "```") if fence else marks.closers)


def _object_follows(read: Reader) -> Steps[bool]:
    here = read.mark()
    while (yield from read.take("[")):
        yield from read.skip()
    letter = yield from read.next()
    read.rewind(here)
    read.release(here)
    return letter == "{"
