"""JSON as models write it, read in one pass and written on as compact, valid JSON while it comes.

Well-formed JSON always means what it says. Beyond it: single quotes, True/None, raw newlines, trailing or missing commas, bare keys and
words, wrong escapes, unescaped quotes, missing closers (only where the text ended by itself or one of `ends` follows).
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

from proxy.stream.reader import WORD_LIMIT, Emit, Reader, Steps
from proxy.stream.schema import number, quote

Place: TypeAlias = Literal["key", "object", "array", "call", "alone"]
"""Where a string stands: that decides what may follow it."""
Ends: TypeAlias = tuple[str, ...]
"""Markers that may follow a value whose own closers are missing."""

SEPARATORS = re.compile(r"[\s,]*")
BARE_KEY = re.compile(r"[\w$.-]*")
BARE_WORD = re.compile(r"[^\s,:\[\]{}()\"'<>]*")
ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
CLOSERS = {"{": "}", "[": "]", "(": ")"}
OPENING_BRACKETS: Mapping[Place, str] = {place: "{[(" if place == "call" else "{[" for place in get_args(Place)}
AS_JSON = str.maketrans("()", "[]")
DEPTH_LIMIT = 1 << 14
"""A value that is nested deeper is none: the open brackets are remembered."""
TRIPLES = ('"""', "'''")

DRIVE = re.compile(r'[A-Za-z]:\\[^\\"\']')
HALF_DRIVE = re.compile(r"(?:[A-Za-z](?::\\?)?)?")
UNICODE = re.compile(r"u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})")
PAIR = re.compile(r"u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
HALF_UNICODE = re.compile(
    r"x[0-9a-fA-F]?|U[0-9a-fA-F]{0,7}|u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?"
)
QUOTED = r'(?:"(?:[^"\\]|\\[\s\S])*"|\'(?:[^\'\\]|\\[\s\S])*\')'
KEY = re.compile(rf"{QUOTED}\s*:")
ANY_KEY = re.compile(rf"(?:{QUOTED}|[A-Za-z_]\w*)\s*:")
KEYWORD = re.compile(r"[A-Za-z_]\w*\s*=")
HALF_KEY = re.compile(r'(?:"(?:[^"\\]|\\[\s\S])*(?:\\|"\s*)?|\'(?:[^\'\\]|\\[\s\S])*(?:\\|\'\s*)?|[A-Za-z_]\w*\s*)')


def escaped(text: str) -> str:
    """Text as it stands between the quotes of a JSON string."""
    return quote(text)[1:-1]


def key(read: Reader) -> Steps[str | None]:
    """The next key of an object, its colon read too; None if no key comes, and what comes in its place is left unread."""
    yield from read.run(SEPARATORS)
    here = read.mark()
    name = yield from _key(read)
    if name is None and (yield from read.next()):
        read.rewind(here)
    read.release(here)
    return name


def _key(read: Reader) -> Steps[str | None]:
    letter = yield from read.next()
    if letter and letter in "\"'":
        parts: list[str] = []
        if not (yield from string(read, parts.append, "key", ())):
            return None
        name = "".join(parts)
    else:
        name = yield from read.run(BARE_KEY)
        if not name:
            return None
    yield from read.skip()
    return name if (yield from read.take(":")) else None


def value(read: Reader, write: Emit, place: Place, ends: Ends) -> Steps[bool]:
    """Any value, however deep; False if it is none, or broke off."""
    open_ones: list[str] = []
    while True:
        yield from read.skip()
        letter = yield from read.next()
        if letter and letter in OPENING_BRACKETS[place]:
            read.drop(1)
            if len(open_ones) == DEPTH_LIMIT:
                return False
            write(letter.translate(AS_JSON))
            open_ones.append(letter)
            begun = True
        else:
            inside: Place = place if not open_ones else "object" if open_ones[-1] == "{" else "array"
            if not (yield from _single(read, letter, write, inside, ends)):
                return False
            begun = False
        goes_on = yield from _closings(read, write, open_ones, begun, ends)
        if goes_on is None or not open_ones:
            return goes_on is not None


def _single(read: Reader, letter: str, write: Emit, place: Place, ends: Ends) -> Steps[bool]:
    if letter and letter in "\"'":
        write('"')
        whole = yield from string(read, lambda text: write(escaped(text)), place, ends)
        if whole:
            write('"')
        return whole
    word = yield from scalar(read)
    write(word)
    return word != ""


def _closings(read: Reader, write: Emit, open_ones: list[str], begun: bool, ends: Ends) -> Steps[bool | None]:  # noqa: FBT001 - a state, no switch
    """What stands between two values: closers, commas, the next key. None if it is broken."""
    while open_ones:
        yield from read.run(SEPARATORS)
        if not (yield from closes(read, open_ones, ends)):
            if not (yield from read.next()):
                return None
            if open_ones[-1] != "{":
                write("" if begun else ",")
                return True
            name = yield from key(read)
            if name is None:
                return None
            write(("" if begun else ",") + quote(name) + ":")
            return True
        write(CLOSERS[open_ones.pop()].translate(AS_JSON))
        begun = False
    return False


def closes(read: Reader, open_ones: list[str], ends: Ends) -> Steps[bool]:
    """Whether the innermost open object or array is over. Its closer is read; a foreign closer is left to whom it belongs."""
    letter = yield from read.next()
    if not letter:
        return not read.cut
    if letter in "}]" or letter == CLOSERS[open_ones[-1]]:
        if letter == CLOSERS[open_ones[-1]]:
            read.drop(1)
        return True
    return bool(ends) and bool((yield from read.peek(*ends)))


def scalar(read: Reader) -> Steps[str]:
    """A number, a literal of JSON or Python, or a bare word, as JSON; empty if there is none."""
    here = read.mark()
    word = yield from read.run(BARE_WORD)
    over = not (yield from read.next())
    text = "" if over and read.cut else _worth(word)  # there may have been more of it
    if not text and not over:
        read.rewind(here)
    read.release(here)
    return text


def _worth(word: str) -> str:
    known = {"true": "true", "false": "false", "null": "null", "none": "null"}.get(word.lower())
    return known or number(word) or (quote(word) if any(map(str.isalnum, word)) else "")


def string(read: Reader, emit: Emit, place: Place, ends: Ends) -> Steps[bool]:
    """A quoted string, decoded piece by piece; False if it broke off. The first wrong escape makes all that follow literal."""
    mark = yield from read.next()
    if place == "call" and (triple := (yield from read.take(*TRIPLES))):
        return (yield from _long_string(read, emit, triple))
    read.drop(1)
    literal = yield from _wait(read, 4, lambda seen: True if DRIVE.match(seen) else None if HALF_DRIVE.fullmatch(seen) else False)
    while True:
        met = yield from read.until(mark, "\\", emit=emit)
        if met is None:
            return False
        if met == mark:
            if (yield from _over(read, place, ends)):
                return True
            emit(mark)
        elif literal:
            yield from _literal_backslash(read, emit, mark, place, ends)
        else:
            literal = not (yield from _escape(read, emit))


def _long_string(read: Reader, emit: Emit, mark: str) -> Steps[bool]:
    while met := (yield from read.until(mark, "\\", emit=emit)):
        if met == mark:
            return True
        yield from _escape(read, emit)
    return False


def _literal_backslash(read: Reader, emit: Emit, mark: str, place: Place, ends: Ends) -> Steps[None]:
    """In a string of literal backslashes `\\\\` and an inner `\\"` still are what they were meant to be."""
    met = yield from read.peek(mark, "\\")
    if met == mark:
        here = read.mark()
        read.drop(1)
        over = yield from _over(read, place, ends)
        if over:
            read.rewind(here)
        read.release(here)
        emit("\\" if over else mark)
    else:
        emit("\\")
        read.drop(len(met))


def _escape(read: Reader, emit: Emit) -> Steps[bool]:
    """What follows a backslash; False if it is no escape, and stays."""
    letter = yield from read.next()
    if not letter:
        return True  # cut in the middle of it
    if letter in ESCAPES:
        read.drop(1)
        emit(ESCAPES[letter])
        return True
    if letter in "uxU":
        text, length = yield from _unicode(read)
        read.drop(length)
        emit(text)
        return length > 0
    emit("\\")
    return False


def _unicode(read: Reader) -> Steps[tuple[str, int]]:
    yield from _wait(read, 11, lambda seen: None if HALF_UNICODE.fullmatch(seen) else True)
    seen, _ = read.ahead(11)
    if pair := PAIR.match(seen):
        high, low = (int(half, 16) for half in pair.groups())
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 11
    if one := UNICODE.match(seen):
        code = int(one[one.lastindex or 0], 16)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code), one.end()
    if HALF_UNICODE.fullmatch(seen):
        return "", len(seen)  # cut in the middle of it
    return "\\", 0


def _over(read: Reader, place: Place, ends: Ends) -> Steps[bool]:
    """Whether the quote just read ends its string, or is a quote that somebody forgot to escape."""
    if place == "key":
        return True
    verdict = yield from _wait(read, WORD_LIMIT, lambda seen: _follows(seen, place, ends))
    if verdict is None:  # the end, or so long a key: only where its comma is missing, too, something speaks against it
        verdict = read.ahead()[0].lstrip()[:1] not in ('"', "'")
    return verdict


def _wait(read: Reader, letters: int, judge: Callable[[str], bool | None]) -> Steps[bool | None]:
    """Judges what comes next, with as few letters as it takes."""
    while True:
        seen, more = read.ahead(letters)
        verdict = judge(seen)
        if verdict is not None or not more:
            return verdict
        yield


def _follows(seen: str, place: Place, ends: Ends) -> bool | None:
    rest = seen.lstrip()
    if not rest or any(end.startswith(rest) for end in ends):
        return None
    if rest[0] in {"call": ")", "array": "}])"}.get(place, "}]") or rest.startswith(ends or ("}",)):
        return True
    if place == "alone":
        return False
    if rest[0] == ",":
        rest = rest[1:].lstrip()
        return _value_follows(rest) if place == "array" else _key_follows(rest, KEYWORD if place == "call" else ANY_KEY)
    if place == "array":
        return rest[0] in "\"'" and rest != seen
    return _key_follows(rest, KEY)


def _value_follows(rest: str) -> bool | None:
    return rest[0] in "\"'{[]}-0123456789tfnTFN" if rest else None


def _key_follows(rest: str, known: re.Pattern[str]) -> bool | None:
    if not rest:
        return None
    if rest[0] in (")" if known is KEYWORD else "}]") or known.match(rest):
        return True
    return None if HALF_KEY.fullmatch(rest) and not (known is KEY and rest[0] not in "\"'") else False
