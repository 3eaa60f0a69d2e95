"""PLaMo-3: a list of blocks, the name and the JSON of each in tags.

SAMPLE:
<|plamo:begin_tool_requests:plamo|><|plamo:begin_tool_request:plamo|><|plamo:begin_tool_name:plamo|>read_file<|plamo:end_tool_name:plamo|><|plamo:begin_tool_arguments:plamo|><|plamo:constrain|>json<|plamo:msg|>{"path": "notes.md"}<|plamo:end_tool_arguments:plamo|><|plamo:end_tool_request:plamo|><|plamo:end_tool_requests:plamo|>
"""  # noqa: E501 - the sample is one line

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import sample
from proxy.parsing.grammars.block_calls import Head, Listing, listed
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.reader import Reader, Steps


def marker(word: str) -> str:
    return f"<|plamo:{word}:plamo|>"


def heading(read: Reader, calls: Calls) -> Steps[Head | None]:
    yield from read.skip()
    yield from read.take(marker("begin_tool_name"))
    yield from read.skip()
    name = calls.name((yield from read.run(NAME)))
    for known in (
        marker("end_tool_name"),
        marker("begin_tool_arguments"),
        "<|plamo:constrain|>json",
        "<|plamo:msg|>",
    ):
        yield from read.skip()
        yield from read.take(known)
    return Head(name) if name else None


LISTING = Listing(
    openers=(marker("begin_tool_requests"),),
    begins=(marker("begin_tool_request"), marker("begin_tool_name")),
    heading=heading,
    ends=(
        marker("end_tool_arguments") + marker("end_tool_request"),
        marker("end_tool_arguments"),
        marker("end_tool_request"),
    ),
    closers=(marker("end_tool_requests"),),
)

DIALECT = listed(
    "plamo3",
    sample(__doc__),
    LISTING,
    turns=("<|plamo:tag|>",),
    marks=(marker("begin_tool_request"),),
    models="plamo-?3",
)
