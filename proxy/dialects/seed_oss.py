"""Seed-OSS: Qwen3-Coder's tags in an outer tag of its own; values stand without newlines around
them.

SAMPLE:
<seed:tool_call>
<function=write_file>
<parameter=path>notes.md</parameter>
</function>
</seed:tool_call>
"""

from dataclasses import replace
from functools import partial

from proxy.dialects.qwen3_coder import LAYOUT
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import tagged_calls

SEED = replace(
    LAYOUT, openers=("<seed:tool_call>",), closers=("</seed:tool_call>",), edge="pair", objects=True
)

DIALECT = Dialect(
    "seed_oss",
    sample(__doc__),
    grammar=partial(tagged_calls, layout=SEED),
    openers=("<seed:tool_call>",),
    turns=("<seed:eos>",),
    marks=("<seed:tool_call>",),
    models="seed-?oss",
    family=("qwen3_coder",),
)
