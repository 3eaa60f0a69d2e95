"""Signs that the parser of llama.cpp has failed, and the unparsed output in its log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
import re

SCHEMA_FAILURES = ("JSON schema error", "failed to parse grammar", "Failed to initialize samplers")


# Builds that report this error write the unparsed output to their log.
LOGGED_FAILURE = "does not match the expected"


PARSER_FAILURES = (
    LOGGED_FAILURE,
    "Failed to parse input",
    "Unable to generate parser",
    "While executing",
    "Jinja",
    *SCHEMA_FAILURES,
)


OLD_ERROR = re.compile(r"Failed to parse input at pos (\d{1,12}): (.*)", re.DOTALL)


UNPARSED = re.compile(r"unparsed \S+ output: (.*)", re.DOTALL)


LOG_LINE = re.compile(r"(?:\d+\.)+\d+ [A-Z] ")


LINE_LIMIT = 65000  # bytes; a longer line has been cut off


@dataclass(slots=True, eq=False)
class LogWindow:
    """Part of the server log that was written during one request."""

    position: int  # number of lines in the log when the request started
    exclusive: bool  # no other request ran, so any output belongs to this one


def unparsed_outputs(lines: Sequence[str]) -> list[str | None]:
    """Return the outputs that `lines` show as unparsed, or None in place of a truncated output.

    An output ends where the next log entry begins, so one without a following entry is left out.
    """
    found: list[str | None] = []
    open_block: list[str] | None = None
    for line in lines:
        begins = UNPARSED.search(line)
        if open_block is not None and (begins or LOG_LINE.match(line)):
            whole = all(len(part.encode()) < LINE_LIMIT for part in open_block)
            found.append("\n".join(open_block) if whole else None)
            open_block = None
        if begins:
            open_block = [begins[1]]
        elif open_block is not None:
            open_block.append(line)
    return found
