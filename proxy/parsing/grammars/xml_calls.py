"""Calls written as tags with raw values: one reader for all layouts of that kind."""

import re

from proxy.parsing.calls import Calls
from proxy.parsing.grammars.call_arguments import arguments, json_body, object_follows, wraps
from proxy.parsing.grammars.json_calls import Shape, call_objects
from proxy.parsing.grammars.xml_layout import Layout
from proxy.parsing.grammars.xml_values import Value
from proxy.parsing.reader import Reader, Steps


def tagged_calls(read: Reader, calls: Calls, layout: Layout) -> Steps[None]:
    """A block of calls; without its opening tag only a declared tool is believed."""
    certain = False
    while (yield from read.take(*layout.openers)):  # some write it twice
        certain = True
        yield from layout.gap(read)
    if certain and layout.objects and (yield from read.peek("{", "[")):
        yield from call_objects(read, calls, Shape(ends=layout.closers))
    while not calls.broken and not calls.open:
        here, before = read.mark(), calls.count
        yield from layout.gap(read)
        # One too many.
        while calls.count and (
            yield from read.take(*layout.function_closers, *layout.value_closers)
        ):
            yield from layout.gap(read)
        yield from _function(read, calls, layout, certain)
        certain = True
        if calls.count == before:
            read.rewind(here)
            read.release(here)
            break
        read.release(here)
        if calls.broken:
            return
    if calls.count and not calls.broken:
        yield from closing_tag(
            read, layout.openers, (*layout.closers, *layout.function_closers, *layout.value_closers)
        )


def closing_tag(read: Reader, openers: tuple[str, ...], closers: tuple[str, ...]) -> Steps[None]:
    """The closing tag, or several, the last of them doubled; or an opening one in its place,
    unless it opens the next call.
    """
    while True:
        here = read.mark()
        yield from read.skip()
        met = yield from read.take_half(*closers)
        if not met and (yield from read.next()):
            opened = yield from read.take(*openers)
            yield from read.skip()
            if not opened or (yield from read.next()):
                read.rewind(here)
        read.release(here)
        if not met:
            return
        if met in closers[:1]:
            openers, closers = (), closers[:1]


def _function(
    read: Reader,
    calls: Calls,
    layout: Layout,
    certain: bool,  # noqa: FBT001 - a fact, no switch
) -> Steps[None]:
    tag = yield from layout.function.at(read)
    if tag is None:
        return
    called = layout.function.name(tag)
    name = (
        calls.name(called)
        if certain or tag.groupdict().get("proof") is not None
        else calls.tools.declared(called)
    )
    if name is None:
        return
    read.drop(tag.end())
    yield from layout.gap(read)
    if (yield from read.peek("{")):
        yield from json_body(read, calls, name, (*layout.function_closers, *layout.closers))
        if not calls.broken:
            yield from _take_closer(read, layout)
    else:
        yield from parameters(read, calls, layout, name)


def _take_closer(read: Reader, layout: Layout) -> Steps[None]:
    here = read.mark()
    yield from layout.gap(read)
    if not (yield from read.take(*layout.function_closers)):
        read.rewind(here)
    read.release(here)


def parameters(read: Reader, calls: Calls, layout: Layout, name: str) -> Steps[None]:
    while True:
        if tag := (yield from layout.parameter_at(read)):
            if tag.groupdict().get("void") is not None:
                if calls.open:
                    calls.abort()
                return
            if not calls.open:
                calls.start(name)
            read.drop(tag.end())
            if not (yield from _value(read, calls, layout, tag)):
                calls.abort()
                return
            continue
        yield from _end(read, calls, layout, name)
        return


def _value(read: Reader, calls: Calls, layout: Layout, tag: re.Match[str]) -> Steps[bool]:
    """One value; False if it broke off. A single one may hold the whole object of arguments."""
    if not wraps(calls, tag[1]):
        return (yield from Value(read, calls, layout, tag).read())
    here = read.mark()
    wrapped = yield from object_follows(read)
    if not wrapped:
        read.rewind(here)
    read.release(here)
    if not wrapped:
        return (yield from Value(read, calls, layout, tag).read())
    whole = yield from arguments(read, calls, layout.value_closers)
    yield from layout.gap(read)
    closed = whole and (yield from read.take(*layout.value_closers)) != ""
    yield from layout.gap(read)
    return closed


def _end(read: Reader, calls: Calls, layout: Layout, name: str) -> Steps[None]:
    """Ends the call behind its last parameter, if what follows says that it was the last."""
    if (yield from read.take(*layout.function_closers)) or (yield from read.peek(*layout.closers)):
        whole = True
    else:
        follows = (
            bool((yield from read.peek(*layout.openers)))
            or (yield from layout.function.at(read)) is not None
        )
        if not calls.open and not follows:
            return
        whole = follows or (yield from layout.ended(read))
    if not calls.open:
        calls.start(name)
    if whole:
        calls.end()
    else:
        calls.abort()
