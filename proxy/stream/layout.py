"""How a dialect with tags spells them."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from proxy.stream.reader import Reader, Steps

Edge: TypeAlias = Literal["line", "pair"]
"""Which newlines around a value are markup: one on each side, or only a pair of them."""


@dataclass(frozen=True)
class Tag:
    """A tag with a name in it, which is the pattern's first group.

    Groups with a name may tell more: `proof` that a call follows though nobody knows the tool, the `type` of a value.
    """

    begins: str
    pattern: re.Pattern[str]
    ends: tuple[str, ...] = ()  # what it runs up to, where it is not simply `<…>`

    def at(self, read: Reader) -> Steps[re.Match[str] | None]:
        """The tag that comes next, not read."""
        if not (yield from read.peek(self.begins)):
            return None
        if not self.ends:
            return self.pattern.fullmatch((yield from read.tag()))
        return self.pattern.match((yield from read.upto(len(self.begins), *self.ends)))


@dataclass(frozen=True)
class Layout:
    """All tags of a dialect."""

    function: Tag
    function_closers: tuple[str, ...]
    parameter: Tag
    value_closers: tuple[str, ...]
    openers: tuple[str, ...] = ()
    closers: tuple[str, ...] = ()
    edge: Edge = "pair"
    noise: tuple[str, ...] = ()  # what may stand between the tags beside blanks

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """All that may end a value."""
        return (*self.value_closers, *self.function_closers, *self.closers, self.parameter.begins, self.function.begins)

    def gap(self, read: Reader) -> Steps[str]:
        """What stands between two tags."""
        text = yield from read.skip()
        while self.noise and (met := (yield from read.take(*self.noise))):
            text += met + (yield from read.skip())
        return text
