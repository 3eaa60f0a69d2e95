"""Incremental decoder for quoted strings, including malformed ones.

It accepts wrong escapes, unescaped inner quotes, and Python's triple-quoted strings.
"""

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from proxy.parsing.reader import WORD_LIMIT, Emit, Reader, Steps

StringContext: TypeAlias = Literal["key", "object", "array", "call", "alone"]
"""Position of a string, which determines what may follow it."""
EndMarkers: TypeAlias = tuple[str, ...]
"""Markers that end a value even if its closing brackets are missing."""

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
    """Read a quoted string and pass its decoded text to `emit` in pieces.

    Return False if the string is incomplete. After the first invalid escape, all backslashes are
    literal.
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
    """Tracker of unescaped quotes inside a string.

    Inner quotes come in pairs. While `open` is set, the next quote probably closes an inner pair
    and does not end the string.
    """

    def __init__(self, mark: str, emit: Emit) -> None:
        self._mark, self._emit, self._last = mark, emit, ""
        self.open = False

    def write(self, text: str) -> None:
        """Emit a piece of the string's text."""
        self._last = text[-1:]
        self._emit(text)

    def inner(self, following: str) -> None:
        """Emit the string's own quote character as text; `following` is the character after it."""
        # A single quote between two letters or digits is an apostrophe.
        if not (self._mark == "'" and self._last.isalnum() and following.isalnum()):
            self.open = not self.open
        self.write(self._mark)


def _long_string(reader: Reader, emit: Emit, mark: str) -> Steps[bool]:
    """Read the rest of a triple-quoted string; return False if it is incomplete."""
    while met := (yield from reader.until(mark, "\\", emit=emit)):
        if met == mark:
            return True
        yield from _escape(reader, emit)
    return False


def _literal_backslash(
    reader: Reader, quotes: QuoteCounter, mark: str, context: StringContext, ends: EndMarkers
) -> Steps[None]:
    """Emit what follows a backslash in a string whose backslashes are literal.

    `\\\\` and an inner `\\"` are still decoded as escapes.
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
    """Decode the escape after a backslash.

    Return False if it is no valid escape; then the backslash is emitted as text.
    """
    letter = yield from reader.peek_char()
    if not letter:
        return True  # the text ends inside the escape
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
    """Return the text of a Unicode escape and its length after the backslash; read nothing.

    The length is 0 if the escape is invalid.
    """
    yield from decide(reader, 11, lambda seen: None if PARTIAL_UNICODE.fullmatch(seen) else True)
    seen, _ = reader.lookahead(11)
    if pair := PAIR.match(seen):
        high, low = (int(half, 16) for half in pair.groups())
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 11
    if one := UNICODE.match(seen):
        code = int(one[one.lastindex or 0], 16)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code), one.end()
    if PARTIAL_UNICODE.fullmatch(seen):
        return "", len(seen)  # the text ends inside the escape
    return "\\", 0


def _ends_here(
    reader: Reader,
    context: StringContext,
    ends: EndMarkers,
    quoting: bool,  # noqa: FBT001 - a state, no switch
) -> Steps[bool]:
    """Return whether the quote just read ends its string, judging by the text after it."""
    if context == "key":
        return True
    verdict = yield from decide(
        reader, WORD_LIMIT, lambda seen: _follows(seen, context, ends, quoting)
    )
    # Undecided: the text ends here, or a very long key follows. Take it as the end of the string,
    # unless another quote follows without a comma.
    if verdict is None:
        verdict = reader.lookahead()[0].lstrip()[:1] not in ('"', "'")
    return verdict


def decide(reader: Reader, letters: int, judge: Callable[[str], bool | None]) -> Steps[bool | None]:
    """Return the verdict of `judge` on the text that comes next; read nothing.

    `judge` sees at most `letters` characters and returns None while it needs more. The result is
    None if it never decides.
    """
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
    """Return whether `seen` may follow the closing quote of a string; None if undecided."""
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
    """Return whether the brackets after a quote are real closers and not text of the string.

    The text after them decides; None means undecided. While an inner quote is open, only the end of
    the whole call counts: a truncated command would be a different command.
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
    """Return whether `rest` begins with a JSON value or a closer; None if it is empty."""
    return rest[0] in "\"'{[]}-0123456789tfnTFN" if rest else None


def _key_follows(rest: str, known: re.Pattern[str]) -> bool | None:
    """Return whether `rest` begins with a closer or a key; None if it may be part of a key."""
    if not rest:
        return None
    if rest[0] in (")" if known is KEYWORD else "}]") or known.match(rest):
        return True
    return (
        None
        if PARTIAL_KEY.fullmatch(rest) and not (known is KEY and rest[0] not in "\"'")
        else False
    )
