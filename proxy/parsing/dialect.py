"""Definition of a dialect: data and grammars."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from proxy.parsing.calls import CallWriter
from proxy.parsing.reader import Reader, Steps

Grammar: TypeAlias = Callable[[Reader, CallWriter], Steps[None]]
"""Reads one call, or several in a row, from its first marker on.

A grammar calls `calls.start` once it is certain that there is a call. Until then it may return at
any point, and its text is text again. What it does not read is left to others, so it may also stop
early. It may raise: the failure is counted, and its text is text.
"""

LISTING_TAGS = ("<tools>", "<tool>")
A_NAME = "a declared tool's name"
"""Stands for the names of all declared tools in `tentative_openers`."""


@dataclass(frozen=True)
class Region:
    """What a header says about the text after it."""

    # The text is reasoning up to one of these; without closers it is the answer.
    closers: tuple[str, ...] = ()
    stop_before: tuple[str, ...] = ()  # also end the reasoning, but are not consumed
    no_calls: bool = False  # the text contains no calls: those have headers of their own


HeaderGrammar: TypeAlias = Callable[[Reader], Steps[Region | None]]
"""Reads a header; returns None if there is none."""


@dataclass(frozen=True)
class ReasoningTags:
    """A pair of tags around reasoning."""

    opener: str
    closer: str
    # If set, the tags are ordinary text unless the model's name matches.
    model_pattern: str = ""
    other_closers: tuple[str, ...] = ()
    template_marker: str = ""  # text in the chat template with the same effect; default: the opener
    end_tokens: tuple[str, ...] = ()  # tokens that end an answer with such reasoning

    @property
    def closers(self) -> tuple[str, ...]:
        """All tags that close the reasoning."""
        return (self.closer, *self.other_closers)

    def applies(self, hint: "ModelHint") -> bool:
        """Return whether these tags are markup, not ordinary text, for the model in `hint`."""
        return (
            not self.model_pattern
            or (self.template_marker or self.opener) in hint.template
            or _matches_model(self.model_pattern, hint)
        )


@dataclass(frozen=True)
class ModelHint:
    """What is known about a model from its template, its name and the settings."""

    template: str = ""
    model: str = ""
    dialects: tuple[str, ...] = ()  # dialects that the user has named


def _matches_model(pattern: str, hint: ModelHint) -> bool:
    return bool(pattern) and re.search(pattern, hint.model, re.IGNORECASE) is not None


def sample(doc: str | None) -> str:
    """Return the sample in a dialect's docstring."""
    return (doc or "").partition("SAMPLE:\n")[2].partition("\n\nSeen")[0].rstrip("\n")


@dataclass(frozen=True, eq=False)
class Dialect:
    """Format in which models write tool calls."""

    name: str
    sample: str
    grammar: Grammar | None = None
    openers: tuple[str, ...] = ()  # markers that announce a call
    # Text at the start of a message, or of a line, that may begin a call …
    tentative_openers: tuple[str, ...] = ()
    # … read by this grammar, which counts only if it has read a complete call …
    tentative_grammar: Grammar | None = None
    # … and only if the message contains nothing but calls.
    whole_message_only: bool = False
    # Without a hint, a tentative call needs one of these to count beside other text.
    tentative_proofs: tuple[str, ...] = ()
    # The openers are ordinary words: without a hint, only calls may follow on the line.
    weak: bool = False
    # Markers without content at the start of a message or of a part …
    headers: tuple[str, ...] = ()
    # … or the beginning of a longer header.
    header_grammar: HeaderGrammar | None = None
    end_tokens: tuple[str, ...] = ()  # tokens that end a message or a part of one
    needs_hint: bool = False  # used only with a hint, or if named
    template_markers: tuple[str, ...] = ()  # text in the chat templates of its models
    model_pattern: str = ""  # regular expression for the names of its models
    # Dialects that the same models also write; read with this one if it is named.
    family: tuple[str, ...] = ()
    # Headers that open a call only at the start of a message; the prompt may hold their first half.
    first_openers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.tentative_grammar is None) != (not self.tentative_openers) or (
            self.grammar is None
        ) != (not self.openers):
            raise ValueError(f"{self.name}: a grammar needs openers, and openers need a grammar")

    def fits(self, hint: ModelHint) -> bool:
        """Return whether the template or the name of the model suggests this dialect."""
        return any(mark in hint.template for mark in self.template_markers) or _matches_model(
            self.model_pattern, hint
        )

    def shares_opener(self, template: str) -> bool:
        """Return whether the template contains one of the openers, apart from tags that list the
        tools.
        """
        return any(opener in template for opener in self.openers if opener not in LISTING_TAGS)

    def is_own(self, hint: ModelHint) -> bool:
        """Return whether the model is known to write this dialect, or the user has named it."""
        return self.name in hint.dialects or self.fits(hint) or self.shares_opener(hint.template)
