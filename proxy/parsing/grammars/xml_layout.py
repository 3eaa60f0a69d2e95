"""How a dialect with tags spells them."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from proxy.parsing.markers import Markers, compiled
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps

Edge: TypeAlias = Literal["line", "pair"]
"""Which newlines around a value are markup: one on each side, or only a pair of them."""


BEGUN = re.compile(r"[^<>]*(?:<[^<>]*)?")
"""What stands behind the beginning of a tag that the text ends in."""


@dataclass(frozen=True)
class Tag:
    """A tag with a name in it, which is the pattern's first group.

    Groups with a name may tell more: `proof` that a call follows though the tool is unknown, the
    `type` of a value, `void` for a parameter that has no value at all.
    """

    begins: str
    pattern: re.Pattern[str]
    ends: tuple[str, ...] = ()  # what it runs up to, where it is not simply `<…>`
    slip: str = ""  # a token that models write inside the name by mistake
    # What a part of it looks like, where that is more than one opening tag.
    begun: re.Pattern[str] | None = None

    def at(self, read: Reader) -> Steps[re.Match[str] | None]:
        """The tag that comes next, not read."""
        if not (yield from read.peek(self.begins)):
            return None
        if not self.ends:
            return self.pattern.fullmatch((yield from read.tag()))
        return self.pattern.match((yield from read.upto(len(self.begins), *self.ends)))

    def name(self, found: re.Match[str]) -> str:
        """Return the name in a tag that was found."""
        return found[1].replace(self.slip, "") if self.slip else found[1]

    def half(self, read: Reader) -> Steps[bool]:
        """Whether the text ends inside the tag, whose beginning is read then."""
        if not (yield from read.peek(self.begins)):
            return False
        ends = self.ends or (">",)
        text = yield from read.upto(len(self.begins), *ends)
        if (
            text.endswith(ends)
            or len(text) == WORD_LIMIT
            or not (self.begun or BEGUN).fullmatch(text, 0 if self.begun else len(self.begins))
        ):
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
    # Those of a function that models write by mistake: they prove less.
    wrong_closers: tuple[str, ...] = ()
    wrong_parameter: Tag | None = None  # how else a parameter may be written by mistake
    edge: Edge = "pair"
    noise: tuple[str, ...] = ()  # what may stand between the tags beside blanks
    sections: bool = False  # a value may stand in a CDATA section
    objects: bool = False  # JSON may stand in place of the tags: the outer ones are proof enough

    @cached_property
    def stops(self) -> Markers:
        """All that may end a value."""
        return compiled(
            (
                *self.value_closers,
                *self.function_closers,
                *self.closers,
                self.parameter.begins,
                self.function.begins,
            )
        )

    @cached_property
    def proven_closers(self) -> tuple[str, ...]:
        """What certainly ends a call."""
        return (
            *(closer for closer in self.function_closers if closer not in self.wrong_closers),
            *self.closers,
        )

    def parameter_at(self, read: Reader) -> Steps[re.Match[str] | None]:
        """The tag of a parameter that comes next, not read."""
        found = yield from self.parameter.at(read)
        return (
            found
            if found or self.wrong_parameter is None
            else (yield from self.wrong_parameter.at(read))
        )

    def over(self, read: Reader) -> Steps[bool]:
        """Whether nothing comes any more, or only half a tag, which is read."""
        return (
            (yield from read.over(self.stops))
            or (yield from self.parameter.half(read))
            or (yield from self.function.half(read))
        )

    def ended(self, read: Reader) -> Steps[bool]:
        """Whether the text ended by itself behind the last parameter.

        Half an opening tag says that there was to be another one.
        """
        here = read.mark()
        over = yield from self.over(read)
        text = read.since(here).strip()
        read.release(here)
        closers = (*self.value_closers, *self.function_closers, *self.closers)
        begins = self.parameter.begins
        another = text.startswith(begins) or (
            begins.startswith(text) and not any(closer.startswith(text) for closer in closers)
        )
        return over and not read.cut and not (text and another)

    def gap(self, read: Reader) -> Steps[str]:
        """What stands between two tags."""
        text = yield from read.skip()
        while self.noise and (met := (yield from read.take(*self.noise))):
            text += met + (yield from read.skip())
        return text
