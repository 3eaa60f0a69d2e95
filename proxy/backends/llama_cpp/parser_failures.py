"""Which errors mean that llama.cpp's own parser failed, and the output of the model that its log
shows then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
import re

SCHEMA_FAILURES = ("JSON schema error", "failed to parse grammar", "Failed to initialize samplers")


# Builds that say no more than this show the answer in their log.
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


LINE_LIMIT = 65000  # bytes; longer ones were cut


@dataclass(slots=True, eq=False)
class LogWindow:
    """The server's log while one question is under way."""

    position: int  # so many lines, when it was asked
    exclusive: bool  # nobody else asked meanwhile: the log does not say whose answer it shows


def unparsed_outputs(lines: Sequence[str]) -> list[str | None]:
    """What the log shows because it could not be parsed; None for what is not whole there.

    The last counts when a line comes after it.
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
