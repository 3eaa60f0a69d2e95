"""Llama 3.x: bare JSON with `parameters`, or a call after `<|python_tag|>`.

Several objects are joined by semicolons. After the token, built-in tools are called in Python
syntax.

SAMPLE:
<|python_tag|>{"name": "read_file", "parameters": {"path": "notes.md"}}

Seen in practice: `<function=read_file>{"path": "notes.md"}</function>` (3.1);
`<|python_tag|>brave_search.call(query="…")`; bare code after the token.
"""

import re

from proxy.dialects.generic_json import bare_objects
from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.call_arguments import json_body
from proxy.parsing.grammars.json_calls import JsonFormat, json_calls
from proxy.parsing.grammars.named_calls import NAME, keywords
from proxy.parsing.reader import Reader, Steps

TOKEN, TURNS = "<|python_tag|>", ("<|eom_id|>", "<|eot_id|>", "<|end_of_text|>")
JSON_FORMAT = JsonFormat(ends=(*TURNS, TOKEN))
TAG = re.compile(r"<function\s*=\s*[\"']?([\w.:/@-]+)[\"']?\s*>")
CLOSER = "</function>"


def grammar(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read calls after `<|python_tag|>`, or one in a `<function=…>` tag."""
    if (yield from reader.take(TOKEN)):
        yield from reader.skip_blanks()
        if (yield from reader.peek("{", "[")):
            yield from json_calls(reader, calls, JSON_FORMAT)
        else:
            yield from _built_in(reader, calls)
    elif tag := TAG.fullmatch((yield from reader.peek_tag())):
        name = calls.resolve_declared(tag[1])
        reader.advance(tag.end())
        yield from reader.skip_blanks()
        if name:
            yield from json_body(reader, calls, name, (CLOSER, *TURNS))
            yield from reader.skip_blanks()
            yield from reader.take_partial(CLOSER)


def _built_in(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a call of a built-in tool: `name.call(key=value)`."""
    name = yield from reader.take_while(NAME)
    if (
        name.endswith(".call")
        and (yield from reader.take("("))
        and (found := calls.resolve_name(name.removesuffix(".call")))
    ):
        yield from keywords(reader, calls, found, TURNS)


DIALECT = Dialect(
    "llama3",
    sample(__doc__),
    grammar=grammar,
    openers=(TOKEN, "<function="),
    tentative_openers=("{", "["),
    tentative_grammar=bare_objects,
    whole_message_only=True,
    end_tokens=TURNS,
    template_markers=(TOKEN, "<|eom_id|>"),
    model_pattern=r"llama-?3",
    family=("pythonic", "qwen3_coder", "generic_json"),
)
