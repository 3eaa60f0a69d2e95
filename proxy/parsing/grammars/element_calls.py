"""Grammar for calls written as elements: `<name><key>value</key></name>`.

Only declared tools and declared parameters are recognized.
"""

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.grammars.call_arguments import json_body
from proxy.parsing.grammars.xml_calls import parameters
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat
from proxy.parsing.reader import Reader, Steps


def element_call(
    reader: Reader, calls: CallWriter, openers: tuple[str, ...], closers: tuple[str, ...]
) -> Steps[None]:
    """Read one element named after a declared tool.

    It holds a JSON object of arguments or an element for each parameter.
    """
    tag = yield from reader.peek_tag()
    name = calls.tools.resolve(tag.strip("<> "))
    if name is None:
        return
    reader.advance(len(tag))
    closer = f"</{tag.strip('<> ')}>"
    yield from reader.skip_blanks()
    if (yield from reader.peek("{")):
        yield from json_body(reader, calls, name, (closer, *closers))
        yield from reader.skip_blanks()
        yield from reader.take(closer)
        return
    keys = tuple(calls.tools.kinds(name))
    xml_format = XmlFormat(
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
    yield from parameters(reader, calls, xml_format, name)
