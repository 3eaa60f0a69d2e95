"""DeepSeek V3.2, V4 and V4.1: tags with a `DSML` marker, and a type attribute on each value.

SAMPLE:
<｜DSML｜function_calls>
<｜DSML｜invoke name="write_file">
<｜DSML｜parameter name="path" string="true">notes.md</｜DSML｜parameter>
</｜DSML｜invoke>
</｜DSML｜function_calls>

Seen in practice: other outer tags or none; doubled or different bars; a space after the marker
(V4.1); JSON in place of the parameters; a parameter tag without the marker.
"""

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat
from proxy.parsing.reader import Reader, Steps

MARKS = tuple(
    f"{bar}{word}{bar}" for word in ("DSML", "GCML") for bar in ("｜", "｜｜", "|", "||", "‖")
)
OUTER = ("function_calls", "tool_calls", "calls", "toolcalls", "tool")
UNMARKED = ("<function_calls>", "<tool_calls>")
NAMED = (
    r"\s+name\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?"
    r"(?:\s+string\s*=\s*[\"']?(?P<type>true|false)[\"']?)?[^<>]*>?"
)


def xml_format(mark: str) -> XmlFormat:
    """Return the tags of the dialect for one spelling of the marker."""
    outer = [space + word for word in OUTER for space in ("", " ")]
    function, parameter = (rf"<{re.escape(mark)}\s?{word}" for word in ("invoke", "parameter"))
    return XmlFormat(
        openers=(*(f"<{mark}{word}>" for word in outer), *UNMARKED),
        function=Tag(f"<{mark}", re.compile(function + NAMED + "(?P<proof>)")),
        function_closers=(*(f"</{mark}{space}invoke>" for space in ("", " ")), "</invoke>"),
        parameter=Tag(f"<{mark}", re.compile(parameter + NAMED)),
        value_closers=(*(f"</{mark}{space}parameter>" for space in ("", " ")), "</parameter>"),
        closers=(*(f"</{mark}{word}>" for word in outer), "</function_calls>", "</tool_calls>"),
        wrong_closers=("</invoke>",),
        wrong_parameter=Tag("<parameter", re.compile("<parameter" + NAMED)),
        objects=True,
    )


XML_FORMATS = {f"<{mark}": xml_format(mark) for mark in MARKS}


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a block of calls, with the spelling of the marker that its first tag uses."""
    here = reader.mark()
    while (yield from reader.take(*UNMARKED)):
        yield from reader.skip_blanks()
    mark = yield from reader.peek(*XML_FORMATS)
    reader.rewind(here)
    reader.release(here)
    if mark:
        yield from xml_calls(reader, calls, XML_FORMATS[mark])


DIALECT = Dialect(
    "deepseek_dsml",
    sample(__doc__),
    grammar=grammar,
    openers=(*XML_FORMATS, *UNMARKED),
    end_tokens=("<｜end▁of▁sentence｜>",),
    template_markers=("｜DSML｜",),
    model_pattern=r"deepseek-?v?(3\.2|4)|gigachat-?3\.5",
    family=("deepseek_v31", "deepseek_v3"),
)
