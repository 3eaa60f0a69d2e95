"""MiniMax-M2: parameters as tags with the name in quotes.

SAMPLE:
<minimax:tool_call>
<invoke name="write_file">
<parameter name="path">notes.md</parameter>
</invoke>
</minimax:tool_call>

Seen as well: the outer tag or any closing tag missing, other quotes or none.
"""

from functools import partial

from proxy.dialects.anthropic import layout
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import tagged_calls

LAYOUT = layout("minimax:tool_call")

DIALECT = Dialect(
    "minimax_m2",
    sample(__doc__),
    grammar=partial(tagged_calls, layout=LAYOUT),
    openers=(*LAYOUT.openers, LAYOUT.function.begins),
    turns=("[e~[",),
    marks=LAYOUT.openers,
    models="minimax-?m2",
    family=("anthropic",),
)
