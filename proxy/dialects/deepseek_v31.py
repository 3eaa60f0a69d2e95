"""DeepSeek V3.1 and its family (Cogito, Ling), and V3 and R1 before it: a list of blocks with a
name and JSON.

SAMPLE:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>read_file<｜tool▁sep｜>{"path": "notes.md"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>

Seen as well: V3's layout, in which the word `function` stands before the mark and the name behind
it, and the JSON in a fence; the markers in other letters, or some of them missing.
"""  # noqa: E501 - the sample is one line

import re
from dataclasses import replace

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import A_NAME, sample
from proxy.parsing.grammars.block_calls import Head, Listing, listed
from proxy.parsing.reader import Reader, Steps

NAME = re.compile(r"[\w.:/@-]*")


def spelled(marker: str) -> tuple[str, ...]:
    """As the model writes a marker, and as others do."""
    return tuple(
        f"<{bar}{marker.replace(' ', blank)}{bar}>"
        for bar in "｜|"
        for blank in ("▁", "_", " ", "\\_")
    )


APART = spelled("tool sep")


def heading(read: Reader, calls: Calls) -> Steps[Head | None]:
    yield from read.skip()
    first = yield from read.run(NAME)
    yield from read.skip()
    if not (yield from read.take(*APART)):
        return None
    yield from read.skip()
    if first != "function" and (declared := calls.declared(first)):
        return Head(declared)
    second = yield from read.run(NAME)
    name = calls.name(second or first)
    return Head(name) if name and (first == "function" or not second) else None


LISTING = Listing(
    openers=(*spelled("tool calls begin"), *spelled("tool calls")),
    begins=spelled("tool call begin"),
    heading=heading,
    ends=spelled("tool call end"),
    closers=spelled("tool calls end"),
    proof=re.compile(r"\s*[\w.:/@-]+\s*<[｜|]tool[▁_ ]sep[｜|]>"),
)

DIALECT = listed(
    "deepseek_v31",
    sample(__doc__),
    LISTING,
    starts=("function<", A_NAME),
    turns=("<｜end▁of▁sentence｜>", "<|role_end|>"),
    marks=("<｜tool▁sep｜>",),
    models=r"deepseek-?v?3\.1|cogito|ling-",
)
V3 = replace(
    DIALECT,
    name="deepseek_v3",
    sample="<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>read_file\n"
    '```json\n{"path": "notes.md"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    marks=("function<｜tool▁sep｜>",),
    models=r"deepseek-?(v3(?!\.)|r1)",
)
