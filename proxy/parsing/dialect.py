"""Definition of a dialect: the markers of its calls, and the grammars that read them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from proxy.parsing.calls import CallWriter
from proxy.parsing.reader import Reader, Steps

Grammar: TypeAlias = Callable[[Reader, CallWriter], Steps[None]]
"""Generator function that reads one call, or several in a row, from the first marker on.

It calls `calls.start` once it is certain of a call. Until then it may return at any point, and
everything it has read becomes text again. It may also stop early, because the parser reads the
rest. If it raises, the failure is counted and the text stays text.
"""

LISTING_TAGS = ("<tools>", "<tool>")
A_NAME = "a declared tool's name"
"""Placeholder in `Dialect.tentative_openers` for the names of all declared tools."""


@dataclass(frozen=True)
class Region:
    """Description of the text after a message header."""

    # Markers that end the reasoning. If empty, the text is not reasoning but the answer.
    closers: tuple[str, ...] = ()
    stop_before: tuple[str, ...] = ()  # markers that also end the reasoning, but are left unread
    no_calls: bool = False  # the text contains no calls, because calls have their own headers


HeaderGrammar: TypeAlias = Callable[[Reader], Steps[Region | None]]
"""Generator function that reads a message header. It returns None if the text is no header."""


@dataclass(frozen=True)
class ReasoningTags:
    """Pair of tags around reasoning."""

    opener: str
    closer: str
    # If set, the tags are ordinary text unless the model's name matches this pattern or its chat
    # template contains `template_marker`.
    model_pattern: str = ""
    other_closers: tuple[str, ...] = ()
    template_marker: str = ""  # defaults to the opener
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

    template: str = ""  # the chat template
    model: str = ""  # the name of the model
    dialects: tuple[str, ...] = ()  # dialects that the user has named


def _matches_model(pattern: str, hint: ModelHint) -> bool:
    return bool(pattern) and re.search(pattern, hint.model, re.IGNORECASE) is not None


def sample(doc: str | None) -> str:
    """Return the text between `SAMPLE:` and `Seen` in the docstring of a dialect's module."""
    return (doc or "").partition("SAMPLE:\n")[2].partition("\n\nSeen")[0].rstrip("\n")


@dataclass(frozen=True, eq=False)
class Dialect:
    """Format in which models write tool calls."""

    name: str
    sample: str
    grammar: Grammar | None = None
    openers: tuple[str, ...] = ()  # markers that announce a call
    # Text that may begin a call without a certain marker, at the start of a message.
    tentative_openers: tuple[str, ...] = ()
    # The grammar for such text. It counts only if it has read a complete call.
    tentative_grammar: Grammar | None = None
    # A tentative call counts only if the message contains nothing but calls.
    whole_message_only: bool = False
    # Markers that prove a tentative call. Without a hint, a call with none of them counts only if
    # the message contains nothing but calls. If empty, no proof is needed.
    tentative_proofs: tuple[str, ...] = ()
    # The openers are ordinary words: without a hint, only calls may follow on the line.
    weak: bool = False
    # Markers that are dropped at the start of a message or of a part of one.
    headers: tuple[str, ...] = ()
    # If set, `headers` only begin a header, and this grammar reads all of it.
    header_grammar: HeaderGrammar | None = None
    end_tokens: tuple[str, ...] = ()  # tokens that end a message or a part of one
    needs_hint: bool = False  # used only if the model hints at it or a setting names it
    template_markers: tuple[str, ...] = ()  # text in the chat templates of its models
    model_pattern: str = ""  # regular expression for the names of its models
    # Dialects that the same models also write. They are read too if a setting names this one.
    family: tuple[str, ...] = ()
    # Headers that open a call only at the start of a message; the prompt may hold their first half.
    first_openers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.tentative_grammar is None) != (not self.tentative_openers) or (
            self.grammar is None
        ) != (not self.openers):
            raise ValueError(f"{self.name}: a grammar needs openers, and openers need a grammar")

    def fits(self, hint: ModelHint) -> bool:
        """Return whether the model's template or name matches this dialect."""
        return any(mark in hint.template for mark in self.template_markers) or _matches_model(
            self.model_pattern, hint
        )

    def shares_opener(self, template: str) -> bool:
        """Return whether `template` contains one of the openers.

        Tags in which templates list the tools do not count.
        """
        return any(opener in template for opener in self.openers if opener not in LISTING_TAGS)

    def is_own(self, hint: ModelHint) -> bool:
        """Return whether the model writes calls in this dialect, or the user has named it."""
        return self.name in hint.dialects or self.fits(hint) or self.shares_opener(hint.template)
