"""Which errors mean that llama.cpp's own parser failed, and the output of the model that its log
shows then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
import re

_SCHEMA = ("JSON schema error", "failed to parse grammar", "Failed to initialize samplers")


# Builds that say no more than this show the answer in their log.
_LOGGED = "does not match the expected"


_GAVE_UP = (
    _LOGGED,
    "Failed to parse input",
    "Unable to generate parser",
    "While executing",
    "Jinja",
    *_SCHEMA,
)


_OLD_ERROR = re.compile(r"Failed to parse input at pos (\d{1,12}): (.*)", re.DOTALL)


_UNPARSED = re.compile(r"unparsed \S+ output: (.*)", re.DOTALL)


_LOG_LINE = re.compile(r"(?:\d+\.)+\d+ [A-Z] ")


_LONGEST_LINE = 65000  # bytes; longer ones were cut


@dataclass(slots=True, eq=False)
class Watch:
    """The server's log while one question is under way."""

    written: int  # so many lines, when it was asked
    alone: bool  # nobody else asked meanwhile: the log does not say whose answer it shows


def _unparsed(lines: Sequence[str]) -> list[str | None]:
    """What the log shows because it could not be parsed; None for what is not whole there.

    The last counts when a line comes after it.
    """
    found: list[str | None] = []
    open_block: list[str] | None = None
    for line in lines:
        begins = _UNPARSED.search(line)
        if open_block is not None and (begins or _LOG_LINE.match(line)):
            whole = all(len(part.encode()) < _LONGEST_LINE for part in open_block)
            found.append("\n".join(open_block) if whole else None)
            open_block = None
        if begins:
            open_block = [begins[1]]
        elif open_block is not None:
            open_block.append(line)
    return found
