"""MiniMax-M2: tags for the call and its parameters, with names in quotes.

SAMPLE:
<minimax:tool_call>
<invoke name="write_file">
<parameter name="path">notes.md</parameter>
</invoke>
</minimax:tool_call>

Seen in practice: the outer tag or any closing tag missing; other quotes or none.
"""

from functools import partial

from proxy.dialects.anthropic import xml_format
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls

XML_FORMAT = xml_format("minimax:tool_call")

DIALECT = Dialect(
    "minimax_m2",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=XML_FORMAT),
    openers=(*XML_FORMAT.openers, XML_FORMAT.function.begins),
    end_tokens=("[e~[",),
    template_markers=XML_FORMAT.openers,
    model_pattern="minimax-?m2",
    family=("anthropic",),
)
