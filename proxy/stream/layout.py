"""How a dialect with tags spells them."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from proxy.stream.markers import Markers, compiled
from proxy.stream.reader import WORD_LIMIT, Reader, Steps

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

    def half(self, read: Reader) -> Steps[bool]:
        """Whether the text ends inside the tag, whose beginning is read then."""
        if not (yield from read.peek(self.begins)):
            return False
        ends = self.ends or (">",)
        text = yield from read.upto(len(self.begins), *ends)
        if text.endswith(ends) or len(text) == WORD_LIMIT:
            return False
        read.drop(len(text))
        return True


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
    objects: bool = False  # JSON may stand in place of the tags: the outer ones are proof enough

    @cached_property
    def stops(self) -> Markers:
        """All that may end a value."""
        return compiled((*self.value_closers, *self.function_closers, *self.closers, self.parameter.begins, self.function.begins))

    def over(self, read: Reader) -> Steps[bool]:
        """Whether nothing comes any more, or only half a tag, which is read."""
        return (yield from read.over(self.stops)) or (yield from self.parameter.half(read)) or (yield from self.function.half(read))

    def gap(self, read: Reader) -> Steps[str]:
        """What stands between two tags."""
        text = yield from read.skip()
        while self.noise and (met := (yield from read.take(*self.noise))):
            text += met + (yield from read.skip())
        return text
