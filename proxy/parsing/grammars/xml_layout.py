"""Description of the tags that a dialect uses for its calls."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from proxy.parsing.markers import Markers, compiled
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps

NewlineRule: TypeAlias = Literal["line", "pair"]
"""Rule for which newlines around a value are markup.

`line`: one on each side, independently. `pair`: only if there is one on both sides.
"""


PARTIAL = re.compile(r"[^<>]*(?:<[^<>]*)?")
"""Rest of a tag that the end of the text cuts off."""


@dataclass(frozen=True)
class Tag:
    """Tag that contains a name, which is the first group of `pattern`.

    Named groups are optional: `proof` marks a call even if the tool is undeclared, `type` is the
    type of the value, and `void` marks a parameter without a value.
    """

    begins: str
    pattern: re.Pattern[str]
    ends: tuple[str, ...] = ()  # markers that end the tag, if it does not end with `>`
    stray_token: str = ""  # token that models write inside the name by mistake
    # Pattern of a partial tag, if the tag has several parts.
    partial_pattern: re.Pattern[str] | None = None

    def match(self, reader: Reader) -> Steps[re.Match[str] | None]:
        """Return the match if this tag comes next; read nothing."""
        if not (yield from reader.peek(self.begins)):
            return None
        if not self.ends:
            return self.pattern.fullmatch((yield from reader.peek_tag()))
        return self.pattern.match((yield from reader.lookahead_to(len(self.begins), *self.ends)))

    def name(self, found: re.Match[str]) -> str:
        """Return the name in a matched tag."""
        return found[1].replace(self.stray_token, "") if self.stray_token else found[1]

    def take_partial(self, reader: Reader) -> Steps[bool]:
        """Read a partial tag at the end of the text; return whether there is one."""
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
    """Tags of a dialect and the rules for reading them."""

    function: Tag
    function_closers: tuple[str, ...]
    parameter: Tag
    value_closers: tuple[str, ...]
    openers: tuple[str, ...] = ()
    closers: tuple[str, ...] = ()
    # Function closers that models write by mistake; on their own they do not prove the end.
    wrong_closers: tuple[str, ...] = ()
    wrong_parameter: Tag | None = None  # mistaken spelling of a parameter tag
    edge: NewlineRule = "pair"
    noise: tuple[str, ...] = ()  # text to skip between tags, besides whitespace
    sections: bool = False  # whether a value may be a CDATA section
    objects: bool = False  # whether the outer tags may contain JSON calls

    @cached_property
    def stops(self) -> Markers:
        """Markers that may end a value."""
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
        """Closing tags that certainly end a call."""
        return (
            *(closer for closer in self.function_closers if closer not in self.wrong_closers),
            *self.closers,
        )

    def match_parameter(self, reader: Reader) -> Steps[re.Match[str] | None]:
        """Return the match if a parameter tag comes next; read nothing."""
        found = yield from self.parameter.match(reader)
        return (
            found
            if found or self.wrong_parameter is None
            else (yield from self.wrong_parameter.match(reader))
        )

    def at_end(self, reader: Reader) -> Steps[bool]:
        """Return whether the text ends here, after reading a partial tag at its end."""
        return (
            (yield from reader.at_end(self.stops))
            or (yield from self.parameter.take_partial(reader))
            or (yield from self.function.take_partial(reader))
        )

    def ended_cleanly(self, reader: Reader) -> Steps[bool]:
        """Return whether the text ends after the last parameter and was not truncated.

        A partial opening tag at the end means that another parameter was to follow.
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
        """Read and return the whitespace and noise between two tags."""
        text = yield from reader.skip_blanks()
        while self.noise and (met := (yield from reader.take(*self.noise))):
            text += met + (yield from reader.skip_blanks())
        return text
