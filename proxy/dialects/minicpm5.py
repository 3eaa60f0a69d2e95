"""MiniCPM5: functions and their parameters as tags with the name in quotes.

SAMPLE:
<function name="read_file"><param name="path">notes.md</param></function>

Seen as well: a tokeniser's slip, `<functionname=`; values in CDATA sections.
"""

import re
from functools import partial

from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat

XML_FORMAT = XmlFormat(
    openers=("<tool_call>",),
    function=Tag(
        "<function", re.compile(r"<function\s*name\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?\s*>?")
    ),
    function_closers=("</function>",),
    parameter=Tag(
        "<param", re.compile(r"<param(?:eter)?\s*name\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?\s*>?")
    ),
    value_closers=("</param>", "</parameter>"),
    closers=("</tool_call>",),
    sections=True,
)

DIALECT = Dialect(
    "minicpm5",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=XML_FORMAT),
    openers=("<function", "<tool_call>"),
    template_markers=("<param name=",),
    model_pattern="minicpm-?5",
)
