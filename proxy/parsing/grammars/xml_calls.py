"""Grammar for calls written as tags with raw text values; an `XmlFormat` describes the tags."""

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.grammars.call_arguments import (
    arguments,
    is_wrapper_key,
    json_body,
    object_follows,
)
from proxy.parsing.grammars.json_calls import JsonFormat, json_calls
from proxy.parsing.grammars.xml_layout import XmlFormat
from proxy.parsing.grammars.xml_values import XmlValueReader
from proxy.parsing.reader import Reader, Steps


def xml_calls(reader: Reader, calls: CallWriter, xml_format: XmlFormat) -> Steps[None]:
    """Read a block of calls.

    Without the opening tag of the block, the first call must name a declared tool, unless its tag
    proves that it is a call.
    """
    certain = False
    while (yield from reader.take(*xml_format.openers)):  # some models repeat the opening tag
        certain = True
        yield from xml_format.skip_gap(reader)
    if certain and xml_format.objects and (yield from reader.peek("{", "[")):
        yield from json_calls(reader, calls, JsonFormat(ends=xml_format.closers))
    while not calls.aborted and not calls.open:
        here, before = reader.mark(), calls.count
        yield from xml_format.skip_gap(reader)
        # Models sometimes repeat a closing tag.
        while calls.count and (
            yield from reader.take(*xml_format.function_closers, *xml_format.value_closers)
        ):
            yield from xml_format.skip_gap(reader)
        yield from _function(reader, calls, xml_format, certain)
        certain = True
        if calls.count == before:
            reader.rewind(here)
            reader.release(here)
            break
        reader.release(here)
        if calls.aborted:
            return
    if calls.count and not calls.aborted:
        yield from closing_tag(
            reader,
            xml_format.openers,
            (*xml_format.closers, *xml_format.function_closers, *xml_format.value_closers),
        )


def closing_tag(reader: Reader, openers: tuple[str, ...], closers: tuple[str, ...]) -> Steps[None]:
    """Read the closing tags after a block of calls, including repeated ones.

    An opening tag at the very end of the text counts as a closing tag, since some models close a
    block with it.
    """
    while True:
        here = reader.mark()
        yield from reader.skip_blanks()
        met = yield from reader.take_partial(*closers)
        if not met and (yield from reader.peek_char()):
            opened = yield from reader.take(*openers)
            yield from reader.skip_blanks()
            if not opened or (yield from reader.peek_char()):
                reader.rewind(here)
        reader.release(here)
        if not met:
            return
        if met in closers[:1]:
            openers, closers = (), closers[:1]


def _function(
    reader: Reader,
    calls: CallWriter,
    xml_format: XmlFormat,
    certain: bool,  # noqa: FBT001 - a fact, no switch
) -> Steps[None]:
    """Read one call; accept an undeclared tool if `certain` or if its tag proves a call."""
    tag = yield from xml_format.function.match(reader)
    if tag is None:
        return
    called = xml_format.function.name(tag)
    name = (
        calls.resolve_name(called)
        if certain or tag.groupdict().get("proof") is not None
        else calls.tools.resolve(called)
    )
    if name is None:
        return
    reader.advance(tag.end())
    yield from xml_format.skip_gap(reader)
    if (yield from reader.peek("{")):
        yield from json_body(
            reader, calls, name, (*xml_format.function_closers, *xml_format.closers)
        )
        if not calls.aborted:
            yield from _take_closer(reader, xml_format)
    else:
        yield from parameters(reader, calls, xml_format, name)


def _take_closer(reader: Reader, xml_format: XmlFormat) -> Steps[None]:
    """Read the closing tag of a function, if it comes next."""
    here = reader.mark()
    yield from xml_format.skip_gap(reader)
    if not (yield from reader.take(*xml_format.function_closers)):
        reader.rewind(here)
    reader.release(here)


def parameters(reader: Reader, calls: CallWriter, xml_format: XmlFormat, name: str) -> Steps[None]:
    """Read the parameters of a call to `name`, and its closing tag.

    The call starts with its first parameter.
    """
    while True:
        if tag := (yield from xml_format.match_parameter(reader)):
            if tag.groupdict().get("void") is not None:
                if calls.open:
                    calls.abort()
                return
            if not calls.open:
                calls.start(name)
            reader.advance(tag.end())
            if not (yield from _value(reader, calls, xml_format, tag)):
                calls.abort()
                return
            continue
        yield from _end(reader, calls, xml_format, name)
        return


def _value(
    reader: Reader, calls: CallWriter, xml_format: XmlFormat, tag: re.Match[str]
) -> Steps[bool]:
    """Read the value of the parameter that `tag` opens; return False if it is incomplete.

    The value of a first parameter that is named like a wrapper (`arguments`, …) may be the whole
    arguments object.
    """
    if not is_wrapper_key(calls, tag[1]):
        return (yield from XmlValueReader(reader, calls, xml_format, tag).read())
    here = reader.mark()
    wrapped = yield from object_follows(reader)
    if not wrapped:
        reader.rewind(here)
    reader.release(here)
    if not wrapped:
        return (yield from XmlValueReader(reader, calls, xml_format, tag).read())
    whole = yield from arguments(reader, calls, xml_format.value_closers)
    yield from xml_format.skip_gap(reader)
    closed = whole and (yield from reader.take(*xml_format.value_closers)) != ""
    yield from xml_format.skip_gap(reader)
    return closed


def _end(reader: Reader, calls: CallWriter, xml_format: XmlFormat, name: str) -> Steps[None]:
    """End the call after its last parameter.

    The call is aborted if the text that follows does not show that it is complete.
    """
    if (yield from reader.take(*xml_format.function_closers)) or (
        yield from reader.peek(*xml_format.closers)
    ):
        whole = True
    else:
        follows = (
            bool((yield from reader.peek(*xml_format.openers)))
            or (yield from xml_format.function.match(reader)) is not None
        )
        if not calls.open and not follows:
            return
        whole = follows or (yield from xml_format.ended_cleanly(reader))
    if not calls.open:
        calls.start(name)
    if whole:
        calls.end()
    else:
        calls.abort()
