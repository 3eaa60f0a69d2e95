"""What a dialect is: data and its grammars."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from proxy.parsing.calls import CallWriter
from proxy.parsing.reader import Reader, Steps

Grammar: TypeAlias = Callable[[Reader, CallWriter], Steps[None]]
"""Reads one call, or a row of them, from its first marker on.

It calls `calls.start` when it is sure and not before: until then it may return at any place, and
all is text again. What it does not read is read by others, so it may also stop early. Law 6: it may
raise; then it is counted and its text is text.
"""

LISTING_TAGS = ("<tools>", "<tool>")
A_NAME = "a declared tool's name"
"""Stands in `starts` for the names of all tools."""


@dataclass(frozen=True)
class Region:
    """What a header says about the text behind it."""

    # Thoughts, up to one of these; the answer itself if there are none.
    closers: tuple[str, ...] = ()
    stop_before: tuple[str, ...] = ()  # what ends the thoughts, too, and is read as what it is
    no_calls: bool = False  # no calls in it: those have headers of their own


HeaderGrammar: TypeAlias = Callable[[Reader], Steps[Region | None]]
"""Reads a header; None if it is none."""


@dataclass(frozen=True)
class ReasoningTags:
    """A pair of tags around thoughts."""

    opener: str
    closer: str
    # Ordinary text, unless the name of the model fits this pattern or its template has the mark.
    model_pattern: str = ""
    other_closers: tuple[str, ...] = ()
    template_marker: str = ""  # the opener, if empty
    end_tokens: tuple[str, ...] = ()  # tokens that end the answer behind such thoughts

    @property
    def closers(self) -> tuple[str, ...]:
        return (self.closer, *self.other_closers)

    def applies(self, hint: "ModelHint") -> bool:
        return (
            not self.model_pattern
            or (self.template_marker or self.opener) in hint.template
            or _matches_model(self.model_pattern, hint)
        )


@dataclass(frozen=True)
class ModelHint:
    """What is known of a model beside its answer."""

    template: str = ""
    model: str = ""
    dialects: tuple[str, ...] = ()  # the dialects that the user has named


def _matches_model(pattern: str, hint: ModelHint) -> bool:
    return bool(pattern) and re.search(pattern, hint.model, re.IGNORECASE) is not None


def sample(doc: str | None) -> str:
    """The sample in a dialect's docstring."""
    return (doc or "").partition("SAMPLE:\n")[2].partition("\n\nSeen")[0].rstrip("\n")


@dataclass(frozen=True, eq=False)
class Dialect:
    name: str
    sample: str
    grammar: Grammar | None = None
    openers: tuple[str, ...] = ()  # markers that say: this dialect, probably
    # What a message may begin with to be worth a doubtful look …
    tentative_openers: tuple[str, ...] = ()
    # … by this grammar, which is believed only when it has read a whole call …
    tentative_grammar: Grammar | None = None
    # … and only if nothing but calls is in the message.
    whole_message_only: bool = False
    # The same holds, without a hint, for a doubtful form that has none of these markers.
    tentative_proofs: tuple[str, ...] = ()
    # Its openers are ordinary words: without a hint only calls may follow on the line.
    weak: bool = False
    # Markers that say nothing where a message, or the next part of one, begins …
    headers: tuple[str, ...] = ()
    # … or that begin a longer header.
    header_grammar: HeaderGrammar | None = None
    end_tokens: tuple[str, ...] = ()  # tokens that end a message, or a part of one
    needs_hint: bool = False  # only with a hint, or named
    template_markers: tuple[str, ...] = ()  # what its models' templates have in them
    model_pattern: str = ""  # a pattern of its models' names
    # The names of what its models write as well: read with it where it is named.
    family: tuple[str, ...] = ()
    # Headers that open a call only where a message begins: the prompt may hold their first half.
    first_openers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.tentative_grammar is None) != (not self.tentative_openers) or (
            self.grammar is None
        ) != (not self.openers):
            raise ValueError(f"{self.name}: a grammar and what it begins with belong together")

    def fits(self, hint: ModelHint) -> bool:
        """Whether the template or the name of the model speaks for it."""
        return any(mark in hint.template for mark in self.template_markers) or _matches_model(
            self.model_pattern, hint
        )

    def shares_opener(self, template: str) -> bool:
        """Return whether a template has one of the openers; tags in which it only lists the
        tools do not count.
        """
        return any(opener in template for opener in self.openers if opener not in LISTING_TAGS)

    def is_own(self, hint: ModelHint) -> bool:
        """Return whether the model is known to write calls this way, or to be read so."""
        return self.name in hint.dialects or self.fits(hint) or self.shares_opener(hint.template)
