"""Hermes 2/3, Qwen2.5, Qwen3, QwQ, Ernie 4.5, Granite 4 and many more: JSON between tags.

SAMPLE:
<tool_call>
{"name": "read_file", "arguments": {"path": "notes.md"}}
</tool_call>

Seen in practice: other tags; either tag missing; several objects or an array in one tag; JSON in a
code fence; in place of the JSON, a call in Python syntax, a name before its arguments, or an
element named after the tool.
"""

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.delimited_calls import Delimiters, delimited_calls, opener_missing
from proxy.parsing.grammars.json_calls import JsonFormat
from proxy.parsing.reader import Reader, Steps

OPENERS = ("<tool_call>", "<function_call>")
WEAK = ("<tools>", "<tool>")
CLOSERS = ("</tool_call>", "</function_call>", "</tools>", "</tool>")
CERTAIN, TENTATIVE = (
    JsonFormat(ends=CLOSERS),
    JsonFormat(ends=CLOSERS, resolve_name=CallWriter.resolve_declared, strict=True),
)


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read calls between tags; behind a weak opener only JSON with a declared tool."""
    weak = (yield from reader.peek(*WEAK)) != ""
    yield from delimited_calls(
        reader,
        calls,
        Delimiters((*OPENERS, *WEAK), CLOSERS, TENTATIVE if weak else CERTAIN, objects_only=weak),
    )


DIALECT = Dialect(
    "hermes",
    sample(__doc__),
    grammar=grammar,
    openers=(*OPENERS, *WEAK),
    tentative_openers=("{", "["),
    tentative_grammar=opener_missing,
    end_tokens=("<|im_end|>",),
    template_markers=('<tool_call>\\n{"name"', "<tool_call>\n{"),
    model_pattern=r"hermes|qwen-?2|qwen-?3-|qwq|ernie|granite-4",
)
