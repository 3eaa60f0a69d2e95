"""How a dialect with tags spells them."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from proxy.parsing.markers import Markers, compiled
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps

NewlineRule: TypeAlias = Literal["line", "pair"]
"""Which newlines around a value are markup: one on each side, or only a pair of them."""


PARTIAL = re.compile(r"[^<>]*(?:<[^<>]*)?")
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
    stray_token: str = ""  # a token that models write inside the name by mistake
    # What a part of it looks like, where that is more than one opening tag.
    partial_pattern: re.Pattern[str] | None = None

    def match(self, reader: Reader) -> Steps[re.Match[str] | None]:
        """The tag that comes next, not read."""
        if not (yield from reader.peek(self.begins)):
            return None
        if not self.ends:
            return self.pattern.fullmatch((yield from reader.peek_tag()))
        return self.pattern.match((yield from reader.lookahead_to(len(self.begins), *self.ends)))

    def name(self, found: re.Match[str]) -> str:
        """Return the name in a tag that was found."""
        return found[1].replace(self.stray_token, "") if self.stray_token else found[1]

    def take_partial(self, reader: Reader) -> Steps[bool]:
        """Whether the text ends inside the tag, whose beginning is read then."""
        if not (yield from reader.peek(self.begins)):
            return False
        ends = self.ends or (">",)
        text = yield from reader.lookahead_to(len(self.begins), *ends)
        if (
            text.endswith(ends)
            or len(text) == WORD_LIMIT
            or not (self.partial_pattern or PARTIAL).fullmatch(
                text, 0 if self.partial_pattern else len(self.begins)
            )
        ):
            return False
        reader.advance(len(text))
        return True


@dataclass(frozen=True)
class XmlFormat:
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
    edge: NewlineRule = "pair"
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

    def match_parameter(self, reader: Reader) -> Steps[re.Match[str] | None]:
        """The tag of a parameter that comes next, not read."""
        found = yield from self.parameter.match(reader)
        return (
            found
            if found or self.wrong_parameter is None
            else (yield from self.wrong_parameter.match(reader))
        )

    def at_end(self, reader: Reader) -> Steps[bool]:
        """Whether nothing comes any more, or only half a tag, which is read."""
        return (
            (yield from reader.at_end(self.stops))
            or (yield from self.parameter.take_partial(reader))
            or (yield from self.function.take_partial(reader))
        )

    def ended_cleanly(self, reader: Reader) -> Steps[bool]:
        """Whether the text ended by itself behind the last parameter.

        Half an opening tag says that there was to be another one.
        """
        here = reader.mark()
        over = yield from self.at_end(reader)
        text = reader.since(here).strip()
        reader.release(here)
        closers = (*self.value_closers, *self.function_closers, *self.closers)
        begins = self.parameter.begins
        another = text.startswith(begins) or (
            begins.startswith(text) and not any(closer.startswith(text) for closer in closers)
        )
        return over and not reader.cut and not (text and another)

    def skip_gap(self, reader: Reader) -> Steps[str]:
        """What stands between two tags."""
        text = yield from reader.skip_blanks()
        while self.noise and (met := (yield from reader.take(*self.noise))):
            text += met + (yield from reader.skip_blanks())
        return text
