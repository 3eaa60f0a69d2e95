"""Detection of calls that repeat text of the request word for word."""

import re
from collections.abc import Iterable
from functools import cached_property

from proxy.parsing.reader import WORD_LIMIT, Reader
from proxy.parsing.window import Mark

NUMBERED = re.compile(r"^[ \t]*(?:\d+[ \t]*[:|→│\t-]|[>|+])[ \t]?", re.MULTILINE)
"""Prefixes that tools and users put before each line of a quoted text."""
NO_ARGUMENTS = "()"


def squeezed(text: str) -> str:
    """Return the text without whitespace, which models do not repeat exactly."""
    return "".join(text.split())


class RequestTexts:
    """Texts of a request that the user and the tools wrote."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = tuple(texts)

    def matcher(self, reader: Reader, opener: str) -> "RepeatMatcher | None":
        """Return a matcher for a call that begins with `opener`, or None if no text contains it."""
        return (
            RepeatMatcher(self, reader, opener)
            if any(opener in text for text in self._texts)
            else None
        )

    @cached_property
    def squeezed(self) -> str:
        """All texts in all their forms, without whitespace."""
        return "\0".join(squeezed(form) for text in self._texts for form in _forms(text))


def _forms(text: str) -> Iterable[str]:
    """Yield `text` unchanged, without line prefixes, and with JSON escapes resolved."""
    yield text
    if (bare := NUMBERED.sub("", text)) != text:
        yield bare
    if "\\" in text:
        yield (
            text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"').replace("\\\\", "\\")
        )


class RepeatMatcher:
    """Matcher that compares a call, piece by piece, with the texts of the request."""

    def __init__(self, texts: RequestTexts, reader: Reader, opener: str) -> None:
        self._texts, self._reader, self._bare = texts, reader, not opener
        self._seen = reader.position
        # The first position at which the texts contain everything read so far; -1 if none does.
        self._at, self._size = 0, 0
        self._unmatched = 0  # characters read since there is no such position

    def may_match(self) -> bool:
        """Return whether the call may still be a repetition. Call this at every pause.

        Because a grammar looks ahead, up to `WORD_LIMIT` characters may differ: they may be after
        the end of the call.
        """
        new = squeezed(self._reader.text_from(self._seen))
        self._seen = max(self._seen, self._reader.position)
        if self._at < 0:
            self._unmatched += len(new)
        return self._extend(new) or self._unmatched <= WORD_LIMIT

    def matches(self, begin: Mark) -> bool:
        """Return whether the request contains everything that was read since `begin`.

        A call without an opener counts only if it has arguments.
        """
        text = squeezed(self._reader.since(begin)).lstrip(",;}]")
        self._seen = self._reader.position
        self._at = self._size = self._unmatched = 0
        return self._extend(text) and not (self._bare and text.endswith(NO_ARGUMENTS))

    def _extend(self, new: str) -> bool:
        if self._at < 0:
            return False
        texts, end = self._texts.squeezed, self._at + self._size
        if not texts.startswith(new, end):
            self._at = texts.find(texts[self._at : end] + new, self._at + 1)
        self._size += len(new)
        return self._at >= 0
