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
"""Continuation of a value without quotes, up to the comma or bracket after it."""
NEXT_MEMBER: Mapping[StringContext, re.Pattern[str]] = {
    "key": re.compile(r"(?!)"),
    "object": re.compile(r"\s+[A-Za-z_]\w*\s*:"),
    "array": re.compile(r"\s"),
    "call": re.compile(r"\s+[A-Za-z_]\w*\s*="),
    "alone": re.compile(""),
}
"""What follows a value whose comma is missing."""
LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null"}
END = "the end of the text"
CLOSERS = {"{": "}", "[": "]", "(": ")", "set": "}"}
OPENING_BRACKETS: Mapping[StringContext, str] = {
    place: "{[(" if place == "call" else "{[" for place in get_args(StringContext)
}
AS_JSON = {"{": "{", "[": "[", "(": "[", "set": "["}
JSON_CLOSERS = {"{": "}", "[": "]"}
DEPTH_LIMIT = 1 << 14
"""Maximum nesting: the open brackets are remembered."""


def escaped(text: str) -> str:
    """Return `text` as it appears between the quotes of a JSON string."""
    return quote(text)[1:-1]


def key(reader: Reader) -> Steps[str | None]:
    """Read and return the next key of an object with its colon, or None if no key comes.

    In that case nothing is read, so that `closes` can tell a comma or a partial key at the end from
    a closed value.
    """
    here = reader.mark()
    yield from reader.take_while(SEPARATORS)
    name = yield from _key(reader)
    if name is None:
        reader.rewind(here)
    reader.release(here)
    return name


def _key(reader: Reader) -> Steps[str | None]:
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
    """Read a partial key at the end of the text.

    Call it where `key` found none: in a longer text something else follows.
    """
    seen, more = reader.lookahead()
    if not more and len(seen) < WORD_LIMIT and PARTIAL_KEY.fullmatch(seen):
        reader.advance(len(seen))


def value(reader: Reader, write: Emit, context: StringContext, ends: EndMarkers) -> Steps[bool]:
    """Read a value of any kind; return False if there is none, or it broke off."""
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
    """Return whether a brace opens a set of Python: values without keys."""
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
    """Read what is between two values: closers, commas, the next key.

    Returns None if it is broken, otherwise whether the value continues.
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
    """Return what closes the innermost object or array, or "".

    Its closer is read. A foreign closer, or one of `ends`, closes it too, but is left unread. `END`
    means that the text ended after a closed value; after a comma there may have been more.
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
    """Return a number, a literal of JSON or Python, or bare words, as JSON.

    Returns "" if there is none, or if it may have been cut.
    """
    here = reader.mark()  # all of it is held, so it has a limit
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
    """Return a complete word as JSON, or ""."""
    return (
        LITERALS.get(word.lower())
        or number(word)
        or (quote(word) if any(map(str.isalnum, word)) else "")
    )
