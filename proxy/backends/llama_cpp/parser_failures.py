"""Recognizes failures of llama.cpp's parser, and extracts the unparsed output from its log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
import re

SCHEMA_FAILURES = ("JSON schema error", "failed to parse grammar", "Failed to initialize samplers")


# Builds with this message write the output to their log.
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


LINE_LIMIT = 65000  # bytes; longer lines were cut


@dataclass(slots=True, eq=False)
class LogWindow:
    """The part of the server's log that was written during one request."""

    position: int  # line number at the start of the request
    exclusive: bool  # no other request ran meanwhile; the log does not tell whose output it shows


def unparsed_outputs(lines: Sequence[str]) -> list[str | None]:
    """Return the unparsed outputs in `lines`; None for one that is incomplete.

    The last one counts only if another line follows.
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
