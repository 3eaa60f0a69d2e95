"""DeepSeek V3.2, V4 and V4.1: tags with a mark in them, and the type of each value.

SAMPLE:
<｜DSML｜function_calls>
<｜DSML｜invoke name="write_file">
<｜DSML｜parameter name="path" string="true">notes.md</｜DSML｜parameter>
</｜DSML｜invoke>
</｜DSML｜function_calls>

Seen as well: other outer tags or none, doubled or other bars, a blank after the mark (V4.1), JSON
in place of the parameters, a parameter's tag without its mark.
"""

import re

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import tagged_calls
from proxy.parsing.grammars.xml_layout import Layout, Tag
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


def layout(mark: str) -> Layout:
    outer = [space + word for word in OUTER for space in ("", " ")]
    function, parameter = (rf"<{re.escape(mark)}\s?{word}" for word in ("invoke", "parameter"))
    return Layout(
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


LAYOUTS = {f"<{mark}": layout(mark) for mark in MARKS}


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    here = read.mark()
    while (yield from read.take(*UNMARKED)):
        yield from read.skip()
    mark = yield from read.peek(*LAYOUTS)
    read.rewind(here)
    read.release(here)
    if mark:
        yield from tagged_calls(read, calls, LAYOUTS[mark])


DIALECT = Dialect(
    "deepseek_dsml",
    sample(__doc__),
    grammar=grammar,
    openers=(*LAYOUTS, *UNMARKED),
    turns=("<｜end▁of▁sentence｜>",),
    marks=("｜DSML｜",),
    models=r"deepseek-?v?(3\.2|4)|gigachat-?3\.5",
    family=("deepseek_v31", "deepseek_v3"),
)
