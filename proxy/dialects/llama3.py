"""Llama 3.x: bare JSON with `parameters`, several joined by semicolons; or behind a token, where
built-in tools are called as in Python.

SAMPLE:
<|python_tag|>{"name": "read_file", "parameters": {"path": "notes.md"}}

Seen as well: `<function=read_file>{"path": "notes.md"}</function>` (3.1),
`<|python_tag|>brave_search.call(query="…")`, bare code behind the token.
"""

import re

from proxy.dialects.generic_json import bare_objects
from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.call_arguments import json_body
from proxy.parsing.grammars.json_calls import Shape, call_objects
from proxy.parsing.grammars.named_calls import NAME, keywords
from proxy.parsing.reader import Reader, Steps

TOKEN, TURNS = "<|python_tag|>", ("<|eom_id|>", "<|eot_id|>", "<|end_of_text|>")
SHAPE = Shape(ends=(*TURNS, TOKEN))
TAG = re.compile(r"<function\s*=\s*[\"']?([\w.:/@-]+)[\"']?\s*>")
CLOSER = "</function>"


def grammar(read: Reader, calls: Calls) -> Steps[None]:
    if (yield from read.take(TOKEN)):
        yield from read.skip()
        if (yield from read.peek("{", "[")):
            yield from call_objects(read, calls, SHAPE)
        else:
            yield from _built_in(read, calls)
    elif tag := TAG.fullmatch((yield from read.tag())):
        name = calls.declared(tag[1])
        read.drop(tag.end())
        yield from read.skip()
        if name:
            yield from json_body(read, calls, name, (CLOSER, *TURNS))
            yield from read.skip()
            yield from read.take_half(CLOSER)


def _built_in(read: Reader, calls: Calls) -> Steps[None]:
    name = yield from read.run(NAME)
    if (
        name.endswith(".call")
        and (yield from read.take("("))
        and (found := calls.name(name.removesuffix(".call")))
    ):
        yield from keywords(read, calls, found, TURNS)


DIALECT = Dialect(
    "llama3",
    sample(__doc__),
    grammar=grammar,
    openers=(TOKEN, "<function="),
    starts=("{", "["),
    doubtful=bare_objects,
    alone=True,
    turns=TURNS,
    marks=(TOKEN, "<|eom_id|>"),
    models=r"llama-?3",
    family=("pythonic", "qwen3_coder", "generic_json"),
)
