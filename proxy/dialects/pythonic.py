"""Calls in Python's syntax that are the whole answer: Llama 3.2 and 4, ToolACE, Gemma 3 (in a
fence).

SAMPLE:
[read_file(path="notes.md")]

Seen as well: no brackets, several lines, `print(…)` around a call.
"""

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import A_NAME, Dialect, sample
from proxy.parsing.grammars.named_calls import python_calls
from proxy.parsing.reader import Reader, Steps


def bare_calls(read: Reader, calls: Calls) -> Steps[None]:
    here = read.mark()
    yield from read.take("[", "print(")
    proven = yield from read.upto(0, "(")
    read.rewind(here)
    read.release(here)
    if calls.declared(proven.strip("[(")) or calls.declared(proven.strip("[(").strip()):
        yield from python_calls(read, calls, (), Calls.declared)


DIALECT = Dialect(
    "pythonic",
    sample(__doc__),
    starts=("[", "print(", A_NAME),
    doubtful=bare_calls,
    alone=True,
    models="llama-?4|llama-?3.2|toolace|gemma-?3",
    family=("llama4", "olmo3"),
)
