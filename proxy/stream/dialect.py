"""What a dialect is: data and one grammar."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from proxy.stream.calls import Calls
from proxy.stream.reader import Reader, Steps

Grammar: TypeAlias = Callable[[Reader, Calls], Steps[None]]
"""Reads one call, or a row of them, from its first marker on.

It calls `calls.start` when it is sure and not before: until then it may return at any place, and all is text again. What it does not
read is read by others, so it may also stop early. Law 6: it may raise; then it is counted and its text is text.
"""


@dataclass(frozen=True)
class Dialect:
    name: str
    grammar: Grammar
    openers: tuple[str, ...]  # markers that say: this dialect, probably
    starts: tuple[str, ...] = ()  # what a message may begin with to be worth a doubtful look …
    doubtful: Grammar | None = None  # … by this grammar, which is believed only when it has read a whole call
    alone: bool = False  # … and only if nothing but calls is in the message

    def __post_init__(self) -> None:
        if (self.doubtful is None) != (not self.starts):
            raise ValueError(f"{self.name}: `starts` and `doubtful` belong together")


@dataclass(frozen=True)
class Thoughts:
    """A pair of tags around thoughts."""

    opener: str
    closer: str
