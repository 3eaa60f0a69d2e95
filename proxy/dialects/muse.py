"""Muse: Anthropic-like tags with a prefix, in messages of gpt-oss's kind that name their recipient.

SAMPLE:
<atem:function_calls>
<atem:invoke name="read_file">
<atem:parameter name="path">notes.md</atem:parameter>
</atem:invoke>
</atem:function_calls>
"""

from functools import partial

from proxy.dialects.anthropic import ATEM
from proxy.stream.dialect import Dialect, sample
from proxy.stream.tagged_calls import tagged_calls

DIALECT = Dialect(
    "muse",
    sample(__doc__),
    grammar=partial(tagged_calls, layout=ATEM),
    openers=(*ATEM.openers, ATEM.function.begins),
    turns=("<|eom|>", "<|eot|>"),
    marks=ATEM.openers,
    models="muse|glimmer",
)
