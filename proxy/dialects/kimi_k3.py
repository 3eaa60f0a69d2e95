"""Kimi K3: elements whose tags consist of tokens; calls and arguments have attributes.

SAMPLE:
<|open|>tools<|sep|><|open|>call tool="read_file" index="1"<|sep|><|open|>argument key="path" type="string"<|sep|>notes.md<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>

Seen in practice: spaces inside the tags; an arguments object in one `json` element.
"""  # noqa: E501 - the sample is one line

import re
from functools import partial

from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat

OPEN, SEP = "<|open|>", "<|sep|>"


def spelled(tag: str) -> tuple[str, ...]:
    """Return a tag with and without the spaces that old servers put between its tokens."""
    head, word = tag.split("|>")
    return tuple(
        f"{head}|>{before}{word}{after}{SEP}" for before in ("", " ") for after in ("", " ")
    )


CALL = r"<\|open\|>\s*call\b[^<]*?\btool\s*=\s*\"?([^\s\"<]+)(?P<proof>)\"?[^<]*<\|sep\|>"
ARGUMENT = (
    r"<\|open\|>\s*argument\b[^<]*?\bkey\s*=\s*\"([^\"<]*)\""
    r"(?:[^<]*?\btype\s*=\s*\"?(?P<type>\w+))?[^<]*<\|sep\|>"
)
XML_FORMAT = XmlFormat(
    openers=spelled("<|open|>tools"),
    function=Tag(OPEN, re.compile(CALL), (SEP,)),
    function_closers=spelled("<|close|>call"),
    parameter=Tag(OPEN, re.compile(ARGUMENT), (SEP,)),
    value_closers=spelled("<|close|>argument"),
    closers=spelled("<|close|>tools"),
    noise=(*spelled('<|open|>json type="object"'), *spelled("<|close|>json")),
)

DIALECT = Dialect(
    "kimi_k3",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=XML_FORMAT),
    openers=(*XML_FORMAT.openers, "<|open|>call", "<|open|> call"),
    headers=spelled("<|open|>response"),
    end_tokens=(*spelled("<|close|>response"), *spelled("<|close|>message"), "<|end_of_msg|>"),
    template_markers=("<|open|>call tool=",),
    model_pattern="kimi-?k3",
    family=("kimi_k2",),
)
