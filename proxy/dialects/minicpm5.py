"""MiniCPM5: tags for the function and its parameters, with names in quotes.

SAMPLE:
<function name="read_file"><param name="path">notes.md</param></function>

Seen in practice: `<functionname=` (an error of the tokenizer); values in CDATA sections.
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
