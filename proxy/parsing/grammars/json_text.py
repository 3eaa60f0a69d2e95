"""JSON as models write it, read in one pass and written on as compact, valid JSON while it comes.

Well-formed JSON always means what it says. Beyond it: single quotes, True/None, raw newlines,
trailing or missing commas, bare keys and words, wrong escapes, unescaped quotes, missing closers
where one of `ends` follows. At the end of the text nothing that is still open is closed here: the
rest of it may be missing. The reader of a call completes its outermost object, where that is
certain.
"""

import re
from collections.abc import Mapping
from typing import get_args

from proxy.parsing.conversion import number, quote
from proxy.parsing.grammars.json_strings import HALF_KEY, Ends, Place, string, wait
from proxy.parsing.reader import WORD_LIMIT, Emit, Reader, Steps

__all__ = [
    "END",
    "LITERALS",
    "OPENING_BRACKETS",
    "Ends",
    "Place",
    "bare",
    "closes",
    "escaped",
    "half_key",
    "key",
    "scalar",
    "string",
    "value",
]

SEPARATORS = re.compile(r"[\s,]*")
BARE_KEY = re.compile(r"[\w$.-]*")
BARE_WORD = re.compile(r"[^\s,:\[\]{}()\"'<>]*")
BARE_WORDS = re.compile(r"[^,\[\]{}()\"'<>\n]*")
"""What a value without quotes may go on with, up to the comma or bracket behind it."""
NEXT_MEMBER: Mapping[Place, re.Pattern[str]] = {
    "key": re.compile(r"(?!)"),
    "object": re.compile(r"\s+[A-Za-z_]\w*\s*:"),
    "array": re.compile(r"\s"),
    "call": re.compile(r"\s+[A-Za-z_]\w*\s*="),
    "alone": re.compile(""),
}
"""What comes behind a value whose comma is missing."""
LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null"}
END = "the end of the text"
CLOSERS = {"{": "}", "[": "]", "(": ")", "set": "}"}
OPENING_BRACKETS: Mapping[Place, str] = {
    place: "{[(" if place == "call" else "{[" for place in get_args(Place)
}
AS_JSON = {"{": "{", "[": "[", "(": "[", "set": "["}
JSON_CLOSERS = {"{": "}", "[": "]"}
DEPTH_LIMIT = 1 << 14
"""A value that is nested deeper is none: the open brackets are remembered."""


def escaped(text: str) -> str:
    """Text as it stands between the quotes of a JSON string."""
    return quote(text)[1:-1]


def key(read: Reader) -> Steps[str | None]:
    """Return the next key of an object, its colon read too.

    None if no key comes; then nothing is read, so that `closes` can tell a comma or half a key at
    the end from a closed value.
    """
    here = read.mark()
    yield from read.run(SEPARATORS)
    name = yield from _key(read)
    if name is None:
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


def half_key(read: Reader) -> None:
    """Read half a key that the text ends in.

    Call it where `key` found none: in a longer text something else follows by then.
    """
    seen, more = read.ahead()
    if not more and len(seen) < WORD_LIMIT and HALF_KEY.fullmatch(seen):
        read.drop(len(seen))


def value(read: Reader, write: Emit, place: Place, ends: Ends) -> Steps[bool]:
    """Any value, however deep; False if it is none, or broke off."""
    open_ones: list[str] = []
    while True:
        yield from read.skip()
        letter = yield from read.next()
        if letter and letter in OPENING_BRACKETS[place]:
            if letter == "{" and place == "call" and (yield from _set_begins(read)):
                letter = "set"
            read.drop(1)
            if len(open_ones) == DEPTH_LIMIT:
                return False
            write(AS_JSON[letter])
            open_ones.append(letter)
            begun = True
        else:
            inside: Place = (
                place if not open_ones else "object" if open_ones[-1] == "{" else "array"
            )
            if not (yield from _single(read, letter, write, inside, ends)):
                return False
            begun = False
        goes_on = yield from _closings(read, write, open_ones, begun, ends)
        if goes_on is None or not open_ones:
            return goes_on is not None


def _set_begins(read: Reader) -> Steps[bool]:
    """Whether a brace opens a set of Python: values without keys."""
    here = read.mark()
    read.drop(1)
    keyed = (yield from key(read)) is not None
    yield from read.skip()
    letter = yield from read.next()
    read.rewind(here)
    read.release(here)
    return not keyed and letter not in ("", "}")


def _single(read: Reader, letter: str, write: Emit, place: Place, ends: Ends) -> Steps[bool]:
    if letter and letter in "\"'":
        write('"')
        whole = yield from string(read, lambda text: write(escaped(text)), place, ends)
        if whole:
            write('"')
        return whole
    word = yield from scalar(read, place, ends)
    write(word)
    return word != ""


def _closings(
    read: Reader,
    write: Emit,
    open_ones: list[str],
    begun: bool,  # noqa: FBT001 - a state, no switch
    ends: Ends,
) -> Steps[bool | None]:
    """What stands between two values: closers, commas, the next key. None if it is broken."""
    while open_ones:
        yield from read.run(SEPARATORS)
        if not (yield from read.next()):
            return None
        if not (yield from closes(read, open_ones[-1], ends)):
            if open_ones[-1] != "{":
                write("" if begun else ",")
                return True
            name = yield from key(read)
            if name is None:
                half_key(read)
                return None
            write(("" if begun else ",") + quote(name) + ":")
            return True
        write(JSON_CLOSERS[AS_JSON[open_ones.pop()]])
        begun = False
    return False


def closes(read: Reader, opener: str, ends: Ends) -> Steps[str]:
    """Return what closes the innermost open object or array, empty if nothing does.

    Its closer is read. A foreign closer, or one of `ends`, closes it too but is left unread. `END`
    if the text ended by itself behind a closed value; behind a comma there may have been more.
    """
    gap = yield from read.run(SEPARATORS)
    letter = yield from read.next()
    if not letter:
        return END if not read.cut and "," not in gap else ""
    if letter in "}]" or letter == CLOSERS[opener]:
        if letter == CLOSERS[opener]:
            read.drop(1)
        return letter
    return (yield from read.peek(*ends)) if ends else ""


def scalar(read: Reader, place: Place, ends: Ends) -> Steps[str]:
    """A number, a literal of JSON or Python, or bare words, as JSON; empty if there is none, or
    if there may have been more of it.
    """
    here = read.mark()  # all of it is held, so it has a limit
    text = yield from _scalar(read, place, ends)
    if not text and (yield from read.next()):
        read.rewind(here)
    read.release(here)
    return text


def _scalar(read: Reader, place: Place, ends: Ends) -> Steps[str]:
    word = yield from read.run(BARE_WORD)
    if not word:
        return ""
    yield from wait(read, WORD_LIMIT, lambda seen: None if BARE_WORDS.fullmatch(seen) else True)
    rest = BARE_WORDS.match(read.ahead()[0])
    more = rest.group() if rest else ""
    if more.strip() and not NEXT_MEMBER[place].match(more):
        read.drop(len(more))
        closed = (yield from read.next()) in (*",}])\n",) or bool(
            ends and (yield from read.peek(*ends))
        )
        return quote((word + more).strip()) if closed else ""
    if (
        place != "alone"
        and not (more or (yield from read.next()))
        and (read.cut or word.lower() not in LITERALS)
    ):
        return ""
    return bare(word)


def bare(word: str) -> str:
    """A whole word as JSON; empty if it is none."""
    return (
        LITERALS.get(word.lower())
        or number(word)
        or (quote(word) if any(map(str.isalnum, word)) else "")
    )
