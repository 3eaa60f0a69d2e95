"""Quoted strings as models write them, decoded piece by piece: wrong escapes, unescaped quotes,
Python's long strings.
"""

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from proxy.parsing.reader import WORD_LIMIT, Emit, Reader, Steps

StringContext: TypeAlias = Literal["key", "object", "array", "call", "alone"]
"""Where a string stands: that decides what may follow it."""
EndMarkers: TypeAlias = tuple[str, ...]
"""Markers that may follow a value whose own closers are missing."""

ESCAPES = {
    '"': '"',
    "'": "'",
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
TRIPLES = ('"""', "'''")

DRIVE = re.compile(r'[A-Za-z]:\\[^\\"\']')
PARTIAL_DRIVE = re.compile(r"(?:[A-Za-z](?::\\?)?)?")
UNICODE = re.compile(r"u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})")
PAIR = re.compile(r"u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
PARTIAL_UNICODE = re.compile(
    r"x[0-9a-fA-F]?|U[0-9a-fA-F]{0,7}|u(?:[0-9a-fA-F]{0,3}|"
    r"[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?"
)
QUOTED = r'(?:"(?:[^"\\]|\\[\s\S])*"|\'(?:[^\'\\]|\\[\s\S])*\')'
KEY = re.compile(rf"{QUOTED}\s*:")
ANY_KEY = re.compile(rf"(?:{QUOTED}|[A-Za-z_]\w*)\s*:")
KEYWORD = re.compile(r"[A-Za-z_]\w*\s*=")
NEXT_CALL = re.compile(r"(?:print\()?[A-Za-z_][\w.]*\(\s*(?:\)|[A-Za-z_]\w*\s*=)")
PARTIAL_CALL = re.compile(r"[A-Za-z_][\w.]*(?:\([A-Za-z_][\w.]*)?(?:\(\s*(?:[A-Za-z_]\w*\s*)?)?|")
PARTIAL_KEY = re.compile(
    r'(?:"(?:[^"\\]|\\[\s\S])*(?:\\|"\s*)?|\'(?:[^\'\\]|\\[\s\S])*(?:\\|\'\s*)?|[A-Za-z_]\w*\s*)'
)


def string(reader: Reader, emit: Emit, context: StringContext, ends: EndMarkers) -> Steps[bool]:
    """A quoted string, decoded piece by piece; False if it broke off.

    The first wrong escape makes all that follow literal.
    """
    mark = yield from reader.peek_char()
    if context == "call" and (triple := (yield from reader.take(*TRIPLES))):
        return (yield from _long_string(reader, emit, triple))
    reader.advance(1)
    literal = yield from decide(
        reader,
        4,
        lambda seen: (
            True if DRIVE.match(seen) else None if PARTIAL_DRIVE.fullmatch(seen) else False
        ),
    )
    quotes = QuoteCounter(mark, emit)
    while True:
        found = yield from reader.until(mark, "\\", emit=quotes.write)
        if found is None:
            return False
        if found == mark:
            if (yield from _ends_here(reader, context, ends, quotes.open)):
                return True
            quotes.inner((reader.lookahead()[0])[:1])
        elif literal:
            yield from _literal_backslash(reader, quotes, mark, context, ends)
        else:
            literal = not (yield from _escape(reader, quotes.write))


class QuoteCounter:
    """Counts the unescaped quotes inside a string: they come in pairs, so that one which is
    still open speaks against an end.
    """

    def __init__(self, mark: str, emit: Emit) -> None:
        self._mark, self._emit, self._last = mark, emit, ""
        self.open = False

    def write(self, text: str) -> None:
        self._last = text[-1:]
        self._emit(text)

    def inner(self, following: str) -> None:
        # An apostrophe.
        if not (self._mark == "'" and self._last.isalnum() and following.isalnum()):
            self.open = not self.open
        self.write(self._mark)


def _long_string(reader: Reader, emit: Emit, mark: str) -> Steps[bool]:
    while met := (yield from reader.until(mark, "\\", emit=emit)):
        if met == mark:
            return True
        yield from _escape(reader, emit)
    return False


def _literal_backslash(
    reader: Reader, quotes: QuoteCounter, mark: str, context: StringContext, ends: EndMarkers
) -> Steps[None]:
    """In a string of literal backslashes `\\\\` and an inner `\\"` still are what they were
    meant to be.
    """
    met = yield from reader.peek(mark, "\\")
    if met == mark:
        here = reader.mark()
        reader.advance(1)
        over = yield from _ends_here(reader, context, ends, quotes.open)
        if over:
            reader.rewind(here)
        reader.release(here)
        quotes.write("\\" if over else mark)
    else:
        quotes.write("\\")
        reader.advance(len(met))


def _escape(reader: Reader, emit: Emit) -> Steps[bool]:
    """What follows a backslash; False if it is no escape, and stays."""
    letter = yield from reader.peek_char()
    if not letter:
        return True  # cut in the middle of it
    if letter in ESCAPES:
        reader.advance(1)
        emit(ESCAPES[letter])
        return True
    if letter in "uxU":
        text, length = yield from _unicode(reader)
        reader.advance(length)
        emit(text)
        return length > 0
    emit("\\")
    return False


def _unicode(reader: Reader) -> Steps[tuple[str, int]]:
    yield from decide(reader, 11, lambda seen: None if PARTIAL_UNICODE.fullmatch(seen) else True)
    seen, _ = reader.lookahead(11)
    if pair := PAIR.match(seen):
        high, low = (int(half, 16) for half in pair.groups())
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 11
    if one := UNICODE.match(seen):
        code = int(one[one.lastindex or 0], 16)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code), one.end()
    if PARTIAL_UNICODE.fullmatch(seen):
        return "", len(seen)  # cut in the middle of it
    return "\\", 0


def _ends_here(
    reader: Reader,
    context: StringContext,
    ends: EndMarkers,
    quoting: bool,  # noqa: FBT001 - a state, no switch
) -> Steps[bool]:
    """Whether the quote just read ends its string, or is one that was not escaped."""
    if context == "key":
        return True
    verdict = yield from decide(
        reader, WORD_LIMIT, lambda seen: _follows(seen, context, ends, quoting)
    )
    # The end, or so long a key: only where its comma is missing, too, something speaks against it.
    if verdict is None:
        verdict = reader.lookahead()[0].lstrip()[:1] not in ('"', "'")
    return verdict


def decide(reader: Reader, letters: int, judge: Callable[[str], bool | None]) -> Steps[bool | None]:
    """Judges what comes next, with as few letters as it takes."""
    while True:
        seen, more = reader.lookahead(letters)
        verdict = judge(seen)
        if verdict is not None or not more:
            return verdict
        yield


def _follows(
    seen: str,
    context: StringContext,
    ends: EndMarkers,
    quoting: bool,  # noqa: FBT001 - a state, no switch
) -> bool | None:
    rest = seen.lstrip()
    if not rest or any(end.startswith(rest) for end in ends):
        return None
    if rest.startswith(ends or ("}",)):
        return True
    if rest[0] in {"call": ")", "array": "}])"}.get(context, "}]"):
        return (
            _closed_behind(rest, context, ends, quoting) if context == "call" or quoting else True
        )
    if context == "alone":
        return False
    if rest[0] == ",":
        rest = rest[1:].lstrip()
        return (
            _value_follows(rest)
            if context == "array"
            else _key_follows(rest, KEYWORD if context == "call" else ANY_KEY)
        )
    if context == "array":
        return rest[0] in "\"'" and rest != seen
    return _key_follows(rest, KEY)


def _closed_behind(
    rest: str,
    context: StringContext,
    ends: EndMarkers,
    quoting: bool,  # noqa: FBT001 - a state, no switch
) -> bool | None:
    """Whether the closers behind a quote are meant, and belong to no text: by what stands behind
    them.

    While an inner quote is open only the end of all is an end: half of a command would be another
    command.
    """
    behind = rest[1:]
    tail = behind.lstrip()
    if not quoting and tail[:1] in (")", "]"):
        return True
    if quoting:
        tail = tail.lstrip(")]} \t\r\n")
    certain = (*ends, "```", "<|", "</") if not (quoting and ends) else ends
    if not tail or any(end.startswith(tail) and end != tail for end in certain):
        return None
    if tail.startswith(certain):
        return True
    if quoting:
        following = tail[1:].lstrip()
        return (
            (following[0] in "{\"'" if following else None)
            if context != "call" and tail[0] == ","
            else False
        )
    if "\n" in behind[: len(behind) - len(tail)]:
        return True
    tail = tail.lstrip(",; \t")
    return None if PARTIAL_CALL.fullmatch(tail) else NEXT_CALL.match(tail) is not None


def _value_follows(rest: str) -> bool | None:
    return rest[0] in "\"'{[]}-0123456789tfnTFN" if rest else None


def _key_follows(rest: str, known: re.Pattern[str]) -> bool | None:
    if not rest:
        return None
    if rest[0] in (")" if known is KEYWORD else "}]") or known.match(rest):
        return True
    return (
        None
        if PARTIAL_KEY.fullmatch(rest) and not (known is KEY and rest[0] not in "\"'")
        else False
    )
