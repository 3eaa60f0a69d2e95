"""Detection of a code fence that starts a message and may contain nothing but calls."""

from proxy.parsing.calls import ToolIndex
from proxy.parsing.grammar_runner import bounded
from proxy.parsing.marker_index import MarkerIndex
from proxy.parsing.reader import Reader, Steps


def fence_before_call(reader: Reader, index: MarkerIndex, tools: ToolIndex) -> Steps[str]:
    """Read and return the opening line of a fence if a call may follow it.

    Otherwise nothing is read, and "" is returned.
    """
    seen, more = reader.lookahead()
    while "\n" not in seen and more:
        yield
        seen, more = reader.lookahead()
    line = seen[: seen.find("\n") + 1]
    mark = reader.mark()
    found = line and (yield from bounded(reader, _call_follows(reader, index, tools, line)))
    reader.rewind(mark)
    reader.release(mark)
    if not found:
        return ""
    reader.advance(len(line))
    return line


def _call_follows(reader: Reader, index: MarkerIndex, tools: ToolIndex, line: str) -> Steps[bool]:
    reader.advance(len(line))
    yield from reader.skip_blanks()
    return bool((yield from reader.match(index.fence_markers))) or (
        yield from index.tool_name_follows(reader, tools)
    )
