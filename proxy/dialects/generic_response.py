"""llama.cpp's format for models without tool calls: JSON with the answer as `response`.

Recognized only if the setting names this dialect or the model is known for it, because any prompt
may ask for such JSON.

SAMPLE:
{"response": "Calls are written in the same way: {\\"tool_call\\": …}"}
"""

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.json_text import key, string
from proxy.parsing.reader import Reader, Steps


def response(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read an object whose only member is `response`, and emit its string as the answer."""
    yield from reader.take("{")
    if (yield from key(reader)) != "response":
        return
    yield from reader.skip_blanks()
    parts: list[str] = []
    if not (yield from reader.peek('"')) or not (
        yield from string(reader, parts.append, "object", ())
    ):
        return
    yield from reader.skip_blanks()
    if (yield from reader.take("}")) and not (
        (yield from reader.skip_blanks()) + (yield from reader.peek_char())
    ).strip():
        calls.write_text("".join(parts))


DIALECT = Dialect(
    "generic_response",
    sample(__doc__),
    tentative_openers=("{",),
    tentative_grammar=response,
    needs_hint=True,
    model_pattern="generic",
)
