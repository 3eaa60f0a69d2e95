"""What a dialect is: data and its grammars."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from proxy.parsing.calls import Calls
from proxy.parsing.reader import Reader, Steps

Grammar: TypeAlias = Callable[[Reader, Calls], Steps[None]]
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
    before: tuple[str, ...] = ()  # what ends the thoughts, too, and is read as what it is
    silent: bool = False  # no calls in it: those have headers of their own


Frame: TypeAlias = Callable[[Reader], Steps[Region | None]]
"""Reads a header; None if it is none."""


@dataclass(frozen=True)
class Thoughts:
    """A pair of tags around thoughts."""

    opener: str
    closer: str
    # Ordinary text, unless the name of the model fits this pattern or its template has the mark.
    models: str = ""
    other_closers: tuple[str, ...] = ()
    mark: str = ""  # the opener, if empty
    turns: tuple[str, ...] = ()  # tokens that end the answer behind such thoughts

    @property
    def closers(self) -> tuple[str, ...]:
        return (self.closer, *self.other_closers)

    def believed(self, hint: "Hint") -> bool:
        return (
            not self.models
            or (self.mark or self.opener) in hint.template
            or _fits(self.models, hint)
        )


@dataclass(frozen=True)
class Hint:
    """What is known of a model beside its answer."""

    template: str = ""
    model: str = ""
    named: tuple[str, ...] = ()  # the dialects that the user has named


def _fits(models: str, hint: Hint) -> bool:
    return bool(models) and re.search(models, hint.model, re.IGNORECASE) is not None


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
    starts: tuple[str, ...] = ()
    # … by this grammar, which is believed only when it has read a whole call …
    doubtful: Grammar | None = None
    # … and only if nothing but calls is in the message.
    alone: bool = False
    # The same holds, without a hint, for a doubtful form that has none of these markers.
    proofs: tuple[str, ...] = ()
    # Its openers are ordinary words: without a hint only calls may follow on the line.
    weak: bool = False
    # Markers that say nothing where a message, or the next part of one, begins …
    headers: tuple[str, ...] = ()
    # … or that begin a longer header.
    frame: Frame | None = None
    turns: tuple[str, ...] = ()  # tokens that end a message, or a part of one
    hinted: bool = False  # only with a hint, or named
    marks: tuple[str, ...] = ()  # what its models' templates have in them
    models: str = ""  # a pattern of its models' names
    # The names of what its models write as well: read with it where it is named.
    family: tuple[str, ...] = ()
    # Headers that open a call only where a message begins: the prompt may hold their first half.
    first_openers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.doubtful is None) != (not self.starts) or (self.grammar is None) != (
            not self.openers
        ):
            raise ValueError(f"{self.name}: a grammar and what it begins with belong together")

    def spoken(self, hint: Hint) -> bool:
        """Whether the template or the name of the model speaks for it."""
        return any(mark in hint.template for mark in self.marks) or _fits(self.models, hint)

    def shares_opener(self, template: str) -> bool:
        """Return whether a template has one of the openers; tags in which it only lists the
        tools do not count.
        """
        return any(opener in template for opener in self.openers if opener not in LISTING_TAGS)

    def is_own(self, hint: Hint) -> bool:
        """Return whether the model is known to write calls this way, or to be read so."""
        return self.name in hint.named or self.spoken(hint) or self.shares_opener(hint.template)
