"""Calls written as tags with raw values: one reader for all layouts of that kind."""

from proxy.stream.call_objects import json_body
from proxy.stream.calls import Calls
from proxy.stream.layout import Layout
from proxy.stream.reader import Reader, Steps
from proxy.stream.tagged_values import Value


def tagged_calls(read: Reader, calls: Calls, layout: Layout) -> Steps[None]:
    """A block of calls; without its opening tag only a declared tool is believed."""
    certain = False
    while (yield from read.take(*layout.openers)):  # some write it twice
        certain = True
        yield from read.skip()
    while True:
        here, before = read.mark(), calls.count
        yield from read.skip()
        while calls.count and (yield from read.take(*layout.function_closers, *layout.value_closers)):  # one too many
            yield from read.skip()
        yield from _function(read, calls, layout, certain)
        certain = True
        if calls.count == before:
            read.rewind(here)
            read.release(here)
            break
        read.release(here)
        if calls.broken:
            return
    if calls.count:
        yield from closing_tag(read, layout.openers, (*layout.closers, *layout.function_closers, *layout.value_closers))


def closing_tag(read: Reader, openers: tuple[str, ...], closers: tuple[str, ...]) -> Steps[None]:
    """The closing tag, or several; or an opening one in its place, unless it opens the next call."""
    while True:
        here = read.mark()
        yield from read.skip()
        met = yield from read.take(*closers)
        if not met:
            opened = yield from read.take(*openers)
            yield from read.skip()
            if not opened or (yield from read.next()):
                read.rewind(here)
        read.release(here)
        if not met or met in closers[:1]:
            return


def _function(read: Reader, calls: Calls, layout: Layout, certain: bool) -> Steps[None]:  # noqa: FBT001 - a fact, no switch
    tag = yield from read.tag()
    named = layout.function_tag.fullmatch(tag)
    name = (calls.name(named[1]) if certain else calls.tools.declared(named[1])) if named else None
    if name is None:
        return
    read.drop(len(tag))
    yield from read.skip()
    if (yield from read.peek("{")):
        yield from json_body(read, calls, name, (*layout.function_closers, *layout.closers))
    else:
        yield from parameters(read, calls, layout, name)


def parameters(read: Reader, calls: Calls, layout: Layout, name: str) -> Steps[None]:
    given: set[str] = set()
    while True:
        tag = yield from read.tag()
        if parameter := layout.parameter_tag.fullmatch(tag):
            if not calls.open:
                calls.start(name)
            read.drop(len(tag))
            given.add(parameter[1])
            value = Value(read, calls, layout, parameter[1], given)
            if not (yield from value.read()):
                calls.abort()
                return
            continue
        if (yield from read.take(*layout.function_closers)) or (yield from read.peek(*layout.closers)):
            whole = True
        elif calls.open:
            after = yield from read.next()
            whole = not read.cut if not after else bool((yield from read.peek(*layout.openers, layout.function)))
        else:
            return
        if not calls.open:
            calls.start(name)
        if whole:
            calls.end()
        else:
            calls.abort()
        return
