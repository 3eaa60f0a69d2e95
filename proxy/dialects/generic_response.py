"""llama.cpp's way with models that know no calls: the whole answer is JSON, and what is said is a
member of it.

SAMPLE:
{"response": "Calls are written in the same way: {\\"tool_call\\": …}"}

Seen only where it is named or the model is known for it: anybody may ask for such JSON.
"""

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.json_text import key, string
from proxy.parsing.reader import Reader, Steps


def response(read: Reader, calls: Calls) -> Steps[None]:
    yield from read.take("{")
    if (yield from key(read)) != "response":
        return
    yield from read.skip()
    parts: list[str] = []
    if not (yield from read.peek('"')) or not (yield from string(read, parts.append, "object", ())):
        return
    yield from read.skip()
    if (yield from read.take("}")) and not (
        (yield from read.skip()) + (yield from read.next())
    ).strip():
        calls.say("".join(parts))


DIALECT = Dialect(
    "generic_response",
    sample(__doc__),
    starts=("{",),
    doubtful=response,
    hinted=True,
    models="generic",
)
