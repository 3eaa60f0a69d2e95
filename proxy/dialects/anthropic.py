"""Claude-style tags with quoted names: models distilled from Claude, and prompts made for it.

SAMPLE:
<function_calls>
<invoke name="write_file">
<parameter name="path">notes.md</parameter>
</invoke>
</function_calls>

Seen in practice: the outer tag or any closing tag missing; other quotes or none. dots.llm uses
another outer tag, Muse a prefix in every tag.
"""

import re
from dataclasses import replace
from functools import partial

from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat

NAMED = r"\s+name\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?(?:\s[^<>]*)?/?>?"


def xml_format(*outer: str, prefix: str = "") -> XmlFormat:
    """Return tags with the given outer words; `prefix` precedes the word in all other tags."""
    return XmlFormat(
        openers=tuple(f"<{word}>" for word in outer),
        function=Tag(f"<{prefix}invoke", re.compile(f"<{prefix}invoke{NAMED}")),
        function_closers=(f"</{prefix}invoke>",),
        parameter=Tag(f"<{prefix}parameter", re.compile(f"<{prefix}parameter{NAMED}")),
        value_closers=(f"</{prefix}parameter>",),
        closers=tuple(f"</{word}>" for word in outer),
        objects=True,
    )


PLAIN = xml_format("function_calls", "dots_function_call")
# The outer closing tag of MiniMax-M2, in case its opening tag is missing.
PLAIN = replace(PLAIN, closers=(*PLAIN.closers, "</minimax:tool_call>"))

DIALECT = Dialect(
    "anthropic",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=PLAIN),
    openers=(*PLAIN.openers, PLAIN.function.begins),
    template_markers=PLAIN.openers,
    model_pattern="claude|dots",
    family=("minimax_m2",),
)
