"""Qwen3-Coder, Qwen3.5 and later, Nemotron-3, MiMo-V2, Step-3.5: parameters as tags, their values as raw text.

SAMPLE:
<tool_call>
<function=write_file>
<parameter=path>
notes.md
</parameter>
<parameter=content>
Any text, as it is.
</parameter>
</function>
</tool_call>

Seen as well: the outer tag or any closing tag missing, closing tags doubled or wrong, JSON in place of the parameters.
"""

import re

from proxy.stream.calls import Calls
from proxy.stream.dialect import Dialect
from proxy.stream.layout import Layout
from proxy.stream.reader import Reader, Steps
from proxy.stream.tagged_calls import tagged_calls

LAYOUT = Layout(
    openers=("<tool_call>",),
    closers=("</tool_call>",),
    function="<function",
    function_tag=re.compile(r"<function\s*=\s*[\"']?([\w.:/@-]+)[\"']?\s*>?"),
    function_closers=("</function>", "</invoke>"),
    parameter="<parameter",
    parameter_tag=re.compile(r"<parameter\s*=\s*[\"']?([^\s<>\"'=]+)[\"']?\s*>?"),
    value_closers=("</parameter>",),
)


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    yield from tagged_calls(read, calls, LAYOUT)


DIALECT = Dialect("qwen3_coder", grammar, openers=(*LAYOUT.openers, LAYOUT.function))
