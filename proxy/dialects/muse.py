"""Muse: Anthropic-like tags with a prefix, in messages with headers like those of gpt-oss.

SAMPLE:
<atem:function_calls>
<atem:invoke name="read_file">
<atem:parameter name="path">notes.md</atem:parameter>
</atem:invoke>
</atem:function_calls>

Seen in practice: the token `<|message|>` inside the name of a tool.
"""

import re
from dataclasses import replace
from functools import partial

from proxy.dialects import harmony
from proxy.dialects.anthropic import xml_format
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls
from proxy.parsing.grammars.xml_layout import Tag

TAGS = xml_format("atem:function_calls", prefix="atem:")
INVOKE = re.compile(
    r"<atem:invoke\s+name\s*=\s*[\"']?((?:[^\s<>\"'=]|<\|message\|>)+)[\"']?\s*/?>?"
)
ATEM = replace(
    TAGS,
    function=Tag(
        "<atem:invoke",
        INVOKE,
        (">\n", '">', "'>", "/>", "<atem:parameter", "</atem:"),
        harmony.MESSAGE,
    ),
)

DIALECT = Dialect(
    "muse",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=ATEM),
    openers=(*ATEM.openers, ATEM.function.begins),
    headers=harmony.DIALECT.headers,
    header_grammar=harmony.header_grammar,
    end_tokens=("<|eom|>", "<|eot|>"),
    template_markers=ATEM.openers,
    model_pattern="muse|glimmer",
    family=("harmony",),
)
