"""Python-style calls as the whole answer: Llama 3.2 and 4, ToolACE, Gemma 3 (in a code fence).

SAMPLE:
[read_file(path="notes.md")]

Seen in practice: no brackets; several lines; `print(…)` around a call.
"""

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.named_calls import python_calls
from proxy.parsing.reader import Reader, Steps


def bare_calls(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read Python-style calls if the first one names a declared tool."""
    here = reader.mark()
    yield from reader.take("[", "print(")
    proven = yield from reader.lookahead_to(0, "(")
    reader.rewind(here)
    reader.release(here)
    if calls.resolve_declared(proven.strip("[(")) or calls.resolve_declared(
        proven.strip("[(").strip()
    ):
        yield from python_calls(reader, calls, (), CallWriter.resolve_declared)


DIALECT = Dialect(
    "pythonic",
    sample(__doc__),
    tentative_openers=("[", "print(", A_NAME),
    tentative_grammar=bare_calls,
    whole_message_only=True,
    model_pattern="llama-?4|llama-?3.2|toolace|gemma-?3",
    family=("llama4", "olmo3"),
)
