"""DeepSeek V3, V3.1 and R1, Cogito, Ling: a list of blocks, each with a name and JSON.

SAMPLE:
<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>read_file<｜tool▁sep｜>{"path": "notes.md"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>

Seen in practice: the layout of V3, with the word `function` before the separator, the name after
it, and the JSON in a code fence; markers spelled with other characters; some markers missing.
"""  # noqa: E501 - the sample is one line

import re
from dataclasses import replace

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, sample
from proxy.parsing.grammars.block_calls import BlockFormat, CallHeading, block_dialect
from proxy.parsing.reader import Reader, Steps

NAME = re.compile(r"[\w.:/@-]*")


def spelled(marker: str) -> tuple[str, ...]:
    """Return the spellings of a marker that models use."""
    return tuple(
        f"<{bar}{marker.replace(' ', blank)}{bar}>"
        for bar in "｜|"
        for blank in ("▁", "_", " ", "\\_")
    )


SEPARATOR = spelled("tool sep")


def heading(reader: Reader, calls: CallWriter) -> Steps[CallHeading | None]:
    """Read a heading: `name<sep>`, or `function<sep>name` as V3 writes it."""
    yield from reader.skip_blanks()
    first = yield from reader.take_while(NAME)
    yield from reader.skip_blanks()
    if not (yield from reader.take(*SEPARATOR)):
        return None
    yield from reader.skip_blanks()
    if first != "function" and (declared := calls.resolve_declared(first)):
        return CallHeading(declared)
    second = yield from reader.take_while(NAME)
    name = calls.resolve_name(second or first)
    return CallHeading(name) if name and (first == "function" or not second) else None


BLOCK_FORMAT = BlockFormat(
    openers=(*spelled("tool calls begin"), *spelled("tool calls")),
    block_openers=spelled("tool call begin"),
    heading=heading,
    block_closers=spelled("tool call end"),
    closers=spelled("tool calls end"),
    proof=re.compile(r"\s*[\w.:/@-]+\s*<[｜|]tool[▁_ ]sep[｜|]>"),
)

DIALECT = block_dialect(
    "deepseek_v31",
    sample(__doc__),
    BLOCK_FORMAT,
    tentative_openers=("function<", A_NAME),
    end_tokens=("<｜end▁of▁sentence｜>", "<|role_end|>"),
    template_markers=("<｜tool▁sep｜>",),
    model_pattern=r"deepseek-?v?3\.1|cogito|ling-",
)
V3 = replace(
    DIALECT,
    name="deepseek_v3",
    sample="<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>read_file\n"
    '```json\n{"path": "notes.md"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    template_markers=("function<｜tool▁sep｜>",),
    model_pattern=r"deepseek-?(v3(?!\.)|r1)",
)
