"""Seed-OSS: the tags of Qwen3-Coder in another outer tag, without newlines around values.

SAMPLE:
<seed:tool_call>
<function=write_file>
<parameter=path>notes.md</parameter>
</function>
</seed:tool_call>
"""

from dataclasses import replace
from functools import partial

from proxy.dialects.qwen3_coder import XML_FORMAT
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls

SEED = replace(
    XML_FORMAT,
    openers=("<seed:tool_call>",),
    closers=("</seed:tool_call>",),
    edge="pair",
    objects=True,
)

DIALECT = Dialect(
    "seed_oss",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=SEED),
    openers=("<seed:tool_call>",),
    end_tokens=("<seed:eos>",),
    template_markers=("<seed:tool_call>",),
    model_pattern="seed-?oss",
    family=("qwen3_coder",),
)
