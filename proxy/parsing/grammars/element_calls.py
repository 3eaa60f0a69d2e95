"""Calls written as elements: `<name><key>value</key></name>`, for tools and parameters that are
declared.
"""

import re

from proxy.parsing.calls import Calls
from proxy.parsing.grammars.call_arguments import json_body
from proxy.parsing.grammars.xml_calls import parameters
from proxy.parsing.grammars.xml_layout import Layout, Tag
from proxy.parsing.reader import Reader, Steps


def element_call(
    read: Reader, calls: Calls, openers: tuple[str, ...], closers: tuple[str, ...]
) -> Steps[None]:
    tag = yield from read.tag()
    name = calls.tools.declared(tag.strip("<> "))
    if name is None:
        return
    read.drop(len(tag))
    closer = f"</{tag.strip('<> ')}>"
    yield from read.skip()
    if (yield from read.peek("{")):
        yield from json_body(read, calls, name, (closer, *closers))
        yield from read.skip()
        yield from read.take(closer)
        return
    keys = tuple(calls.tools.kinds(name))
    layout = Layout(
        openers=openers,
        closers=closers,
        function=Tag(tag, re.compile(re.escape(tag))),
        function_closers=(closer,),
        parameter=Tag(
            "<", re.compile("<(" + "|".join(map(re.escape, keys)) + ")>" if keys else r"(?!)")
        ),
        value_closers=tuple(f"</{key}>" for key in keys) or ("</>",),
        edge="line",
    )
    yield from parameters(read, calls, layout, name)
