"""Qwen3-Coder, Qwen3.5 and later, Nemotron-3, MiMo-V2, Step-3.5: tags with raw text values.

SAMPLE:
<tool_call>
<function=write_file>
<parameter=path>
notes.md
</parameter>
</function>
</tool_call>

Seen in practice: the outer tag or any closing tag missing; closing tags doubled or wrong; JSON in
place of the parameters.
"""

import re
from functools import partial

from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat

XML_FORMAT = XmlFormat(
    openers=("<tool_call>",),
    function=Tag("<function", re.compile(r"<function\s*=\s*[\"']?([\w.:/@-]+?)[\"']?\s*/?>?")),
    parameter=Tag("<parameter", re.compile(r"<parameter\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?\s*>?")),
    value_closers=("</parameter>",),
    function_closers=("</function>", "</invoke>"),
    wrong_closers=("</invoke>",),
    closers=("</tool_call>", "</seed:tool_call>"),
    edge="line",
)

DIALECT = Dialect(
    "qwen3_coder",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=XML_FORMAT),
    openers=("<tool_call>", "<function"),
    end_tokens=("<|im_end|>", "<|endoftext|>"),
    template_markers=("<function=",),
    model_pattern=r"qwen-?3.*coder|qwen-?3\.[5-9]|nemotron-3|mimo-v2|step-?3\.5",
    family=("seed_oss",),
)
