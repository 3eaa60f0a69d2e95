"""Streaming reader for JSON as models write it; the output is compact, valid JSON.

Well-formed JSON is never changed in meaning. Also accepted: single quotes, True/None, raw newlines,
trailing or missing commas, bare keys and words, wrong escapes, unescaped quotes, and missing
closers where one of `ends` follows. Brackets that are still open at the end of the text are not
closed, because the rest of the value may be missing; only the outermost object of a call is
completed, by the grammar that reads the call.
"""

import re
from collections.abc import Mapping
from typing import get_args

from proxy.parsing.conversion import number, quote
from proxy.parsing.grammars.json_strings import (
    PARTIAL_KEY,
    EndMarkers,
    StringContext,
    decide,
    string,
)
from proxy.parsing.reader import WORD_LIMIT, Emit, Reader, Steps

__all__ = [
    "END",
    "LITERALS",
    "OPENING_BRACKETS",
    "EndMarkers",
    "StringContext",
    "bare",
    "closes",
    "escaped",
    "key",
    "scalar",
    "skip_partial_key",
    "string",
    "value",
]

SEPARATORS = re.compile(r"[\s,]*")
BARE_KEY = re.compile(r"[\w$.-]*")
BARE_WORD = re.compile(r"[^\s,:\[\]{}()\"'<>]*")
BARE_WORDS = re.compile(r"[^,\[\]{}()\"'<>\n]*")
"""Rest of an unquoted value, up to the next comma, bracket, quote or newline."""
NEXT_MEMBER: Mapping[StringContext, re.Pattern[str]] = {
    "key": re.compile(r"(?!)"),
    "object": re.compile(r"\s+[A-Za-z_]\w*\s*:"),
    "array": re.compile(r"\s"),
    "call": re.compile(r"\s+[A-Za-z_]\w*\s*="),
    "alone": re.compile(""),
}
"""Text after an unquoted value that begins the next member although the comma is missing."""
LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null"}
END = "the end of the text"
CLOSERS = {"{": "}", "[": "]", "(": ")", "set": "}"}
OPENING_BRACKETS: Mapping[StringContext, str] = {
    place: "{[(" if place == "call" else "{[" for place in get_args(StringContext)
}
AS_JSON = {"{": "{", "[": "[", "(": "[", "set": "["}
JSON_CLOSERS = {"{": "}", "[": "]"}
DEPTH_LIMIT = 1 << 14
"""Maximum nesting; deeper values are rejected because every open bracket is stored."""


def escaped(text: str) -> str:
    """Return `text` escaped for use between the quotes of a JSON string."""
    return quote(text)[1:-1]


def key(reader: Reader) -> Steps[str | None]:
    """Read the next key of an object with its colon; return the key.

    Return None and read nothing if no key follows, so that `closes` still sees a comma or a partial
    key at the end of the text.
    """
    here = reader.mark()
    yield from reader.take_while(SEPARATORS)
    name = yield from _key(reader)
    if name is None:
        reader.rewind(here)
    reader.release(here)
    return name


def _key(reader: Reader) -> Steps[str | None]:
    """Read a quoted or bare key and its colon; return None if there is none."""
    letter = yield from reader.peek_char()
    if letter and letter in "\"'":
        parts: list[str] = []
        if not (yield from string(reader, parts.append, "key", ())):
            return None
        name = "".join(parts)
    else:
        name = yield from reader.take_while(BARE_KEY)
        if not name:
            return None
    yield from reader.skip_blanks()
    return name if (yield from reader.take(":")) else None


def skip_partial_key(reader: Reader) -> None:
    """Skip a partial key at the end of the text.

    Call this after `key` returned None. If more text follows, nothing is skipped.
    """
    seen, more = reader.lookahead()
    if not more and len(seen) < WORD_LIMIT and PARTIAL_KEY.fullmatch(seen):
        reader.advance(len(seen))


def value(reader: Reader, write: Emit, context: StringContext, ends: EndMarkers) -> Steps[bool]:
    """Read any JSON value and write it as compact JSON.

    Return False if there is no value or it is incomplete.
    """
    open_ones: list[str] = []
    while True:
        yield from reader.skip_blanks()
        letter = yield from reader.peek_char()
        if letter and letter in OPENING_BRACKETS[context]:
            if letter == "{" and context == "call" and (yield from _set_begins(reader)):
                letter = "set"
            reader.advance(1)
            if len(open_ones) == DEPTH_LIMIT:
                return False
            write(AS_JSON[letter])
            open_ones.append(letter)
            begun = True
        else:
            inside: StringContext = (
                context if not open_ones else "object" if open_ones[-1] == "{" else "array"
            )
            if not (yield from _single(reader, letter, write, inside, ends)):
                return False
            begun = False
        goes_on = yield from _closings(reader, write, open_ones, begun, ends)
        if goes_on is None or not open_ones:
            return goes_on is not None


def _set_begins(reader: Reader) -> Steps[bool]:
    """Return whether a brace opens a Python set (values without keys); read nothing."""
    here = reader.mark()
    reader.advance(1)
    keyed = (yield from key(reader)) is not None
    yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    reader.rewind(here)
    reader.release(here)
    return not keyed and letter not in ("", "}")


def _single(
    reader: Reader, letter: str, write: Emit, context: StringContext, ends: EndMarkers
) -> Steps[bool]:
    """Read a string or a scalar; return False if there is none or it is incomplete."""
    if letter and letter in "\"'":
        write('"')
        whole = yield from string(reader, lambda text: write(escaped(text)), context, ends)
        if whole:
            write('"')
        return whole
    word = yield from scalar(reader, context, ends)
    write(word)
    return word != ""


def _closings(
    reader: Reader,
    write: Emit,
    open_ones: list[str],
    begun: bool,  # noqa: FBT001 - a state, no switch
    ends: EndMarkers,
) -> Steps[bool | None]:
    """Read the closers, comma and key between two values.

    Return True if another value follows, False if the outermost value is closed, and None if the
    text is broken or incomplete.
    """
    while open_ones:
        yield from reader.take_while(SEPARATORS)
        if not (yield from reader.peek_char()):
            return None
        if not (yield from closes(reader, open_ones[-1], ends)):
            if open_ones[-1] != "{":
                write("" if begun else ",")
                return True
            name = yield from key(reader)
            if name is None:
                skip_partial_key(reader)
                return None
            write(("" if begun else ",") + quote(name) + ":")
            return True
        write(JSON_CLOSERS[AS_JSON[open_ones.pop()]])
        begun = False
    return False


def closes(reader: Reader, opener: str, ends: EndMarkers) -> Steps[str]:
    """Return what closes the innermost open bracket, or "" if nothing does.

    Its own closer is read. A closer of another kind or one of `ends` also closes it but stays
    unread. The result is `END` if the text ends here, was not truncated, and does not end with a
    comma.
    """
    gap = yield from reader.take_while(SEPARATORS)
    letter = yield from reader.peek_char()
    if not letter:
        return END if not reader.cut and "," not in gap else ""
    if letter in "}]" or letter == CLOSERS[opener]:
        if letter == CLOSERS[opener]:
            reader.advance(1)
        return letter
    return (yield from reader.peek(*ends)) if ends else ""


def scalar(reader: Reader, context: StringContext, ends: EndMarkers) -> Steps[str]:
    """Read a number, a JSON or Python literal, or unquoted words; return it as JSON.

    Return "" if there is no such value or it may be incomplete.
    """
    here = reader.mark()  # the mark limits how much text is buffered
    text = yield from _scalar(reader, context, ends)
    if not text and (yield from reader.peek_char()):
        reader.rewind(here)
    reader.release(here)
    return text


def _scalar(reader: Reader, context: StringContext, ends: EndMarkers) -> Steps[str]:
    word = yield from reader.take_while(BARE_WORD)
    if not word:
        return ""
    yield from decide(reader, WORD_LIMIT, lambda seen: None if BARE_WORDS.fullmatch(seen) else True)
    rest = BARE_WORDS.match(reader.lookahead()[0])
    more = rest.group() if rest else ""
    if more.strip() and not NEXT_MEMBER[context].match(more):
        reader.advance(len(more))
        closed = (yield from reader.peek_char()) in (*",}])\n",) or bool(
            ends and (yield from reader.peek(*ends))
        )
        return quote((word + more).strip()) if closed else ""
    if (
        context != "alone"
        and not (more or (yield from reader.peek_char()))
        and (reader.cut or word.lower() not in LITERALS)
    ):
        return ""
    return bare(word)


def bare(word: str) -> str:
    """Return an unquoted word as JSON, or "" if it has no letter or digit."""
    return (
        LITERALS.get(word.lower())
        or number(word)
        or (quote(word) if any(map(str.isalnum, word)) else "")
    )
