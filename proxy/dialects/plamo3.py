"""PLaMo-3: a list of blocks, with tags around each name and its JSON arguments.

SAMPLE:
<|plamo:begin_tool_requests:plamo|><|plamo:begin_tool_request:plamo|><|plamo:begin_tool_name:plamo|>read_file<|plamo:end_tool_name:plamo|><|plamo:begin_tool_arguments:plamo|><|plamo:constrain|>json<|plamo:msg|>{"path": "notes.md"}<|plamo:end_tool_arguments:plamo|><|plamo:end_tool_request:plamo|><|plamo:end_tool_requests:plamo|>
"""  # noqa: E501 - the sample is one line

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import sample
from proxy.parsing.grammars.block_calls import BlockFormat, CallHeading, block_dialect
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.reader import Reader, Steps


def marker(word: str) -> str:
    """Return a control token of the model."""
    return f"<|plamo:{word}:plamo|>"


def heading(reader: Reader, calls: CallWriter) -> Steps[CallHeading | None]:
    """Read the name of a call and the markers before its arguments."""
    yield from reader.skip_blanks()
    yield from reader.take(marker("begin_tool_name"))
    yield from reader.skip_blanks()
    name = calls.resolve_name((yield from reader.take_while(NAME)))
    for known in (
        marker("end_tool_name"),
        marker("begin_tool_arguments"),
        "<|plamo:constrain|>json",
        "<|plamo:msg|>",
    ):
        yield from reader.skip_blanks()
        yield from reader.take(known)
    return CallHeading(name) if name else None


BLOCK_FORMAT = BlockFormat(
    openers=(marker("begin_tool_requests"),),
    block_openers=(marker("begin_tool_request"), marker("begin_tool_name")),
    heading=heading,
    block_closers=(
        marker("end_tool_arguments") + marker("end_tool_request"),
        marker("end_tool_arguments"),
        marker("end_tool_request"),
    ),
    closers=(marker("end_tool_requests"),),
)

DIALECT = block_dialect(
    "plamo3",
    sample(__doc__),
    BLOCK_FORMAT,
    end_tokens=("<|plamo:tag|>",),
    template_markers=(marker("begin_tool_request"),),
    model_pattern="plamo-?3",
)
