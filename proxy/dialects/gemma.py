"""Gemma 4 and FunctionGemma: `call:` and a name, then an object in a syntax of their own: bare
keys, and marks in place of quotes.

SAMPLE:
<|tool_call>call:read_file{path:<|"|>notes.md<|"|>}<tool_call|>

Seen as well: the marks inside a text, where they are quotes, or one of them missing; texts without
any; keys with blanks; too many closing brackets or markers; JSON; no opening marker; no `call:`.
"""

import re
from collections.abc import Container
from functools import partial

from proxy.parsing.calls import Calls
from proxy.parsing.conversion import quote, typed
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.call_arguments import fitting
from proxy.parsing.grammars.delimited_calls import Marks, marked_calls
from proxy.parsing.grammars.json_strings import wait
from proxy.parsing.grammars.json_text import LITERALS, bare, escaped, string
from proxy.parsing.grammars.named_calls import NAME, Named
from proxy.parsing.markers import compiled
from proxy.parsing.reader import WORD_LIMIT, Emit, Reader, Steps
from proxy.parsing.schema import Kinds

QUOTES = ('<|"|>', "<escape>")
OPENERS, CLOSERS = (
    ("<|tool_call>", "<start_function_call>"),
    ("<tool_call|>", "<end_function_call>"),
)
TURNS = ("<end_of_turn>", "<turn|>", "<start_function_response>", "<|tool_response>")
KEY, BARE = re.compile(r"[^:{}\[\],\"'<\n]*"), re.compile(r"[^,{}\[\]<>\"\n]*")
SPACE, LOOSE = re.compile(r"[\s,]*"), re.compile(r"[\s}\]]*")
MEMBER = {"{": re.compile(r",\s*[^:{}\[\],<\n]{1,64}:"), "[": re.compile(r",\s*(?:<|[-\w\"'{\[])")}
HALF = {"{": re.compile(r",\s*[^:{}\[\],<\n]{0,64}"), "[": re.compile(r",\s*")}
NEXT_KEY = re.compile(
    r",\s*(?:<\|\"\|>|<escape>|[\"'])?([A-Za-z_]\w*)(?:<\|\"\|>|<escape>|[\"'])?\s*:|,\s*[}\]]"
)
HALF_NEXT_KEY = re.compile(
    r",\s*(?:<\|\"\|>|<e?s?c?a?p?e?>?|<\|?\"?\|?|[\"'])?\w*"
    r"(?:<\|\"\|>|<e?s?c?a?p?e?>?|<\|?\"?\|?|[\"'])?\s*"
)
ENDS, DEPTH_LIMIT = compiled(CLOSERS), 32
RAW_STOPS = compiled((",", "}", "<"))
UNQUOTED = tuple("}" + closer for closer in CLOSERS)
"""What ends a text whose closing mark is missing."""
BEHIND = (*OPENERS, *CLOSERS, *TURNS)


def grammar(read: Reader, calls: Calls, named: Named = Calls.name) -> Steps[None]:
    yield from read.take(*OPENERS)
    yield from read.skip()
    if (yield from read.peek("{", "[")):
        yield from marked_calls(read, calls, Marks(OPENERS, CLOSERS))
        return
    yield from read.take("call:", ":")
    yield from read.skip()
    name = named(calls, (yield from read.run(NAME)))
    yield from read.skip()
    if name is None or not (yield from read.take("{")):
        return
    whole = yield from _members(read, calls, name)
    if calls.open and whole:
        calls.end()
        yield from _closers(read)


def _closers(read: Reader) -> Steps[None]:
    """All that closes a call, however often, and the marker of the result that is to follow."""
    yield from read.run(LOOSE)
    while (yield from read.take_half(*CLOSERS)):
        pass
    yield from read.take("<|tool_response>", "<start_function_response>")


def _members(read: Reader, calls: Calls, name: str) -> Steps[bool]:
    """All arguments; False if they broke off."""
    while True:
        gap = yield from read.run(SPACE)
        here = read.position
        key = yield from _name(read)
        if not key and read.position > here:
            return False
        if not key:
            break
        if not calls.open:
            calls.start(name)
        calls.key(key)
        if not (
            yield from _value(
                read, calls.write, calls.kinds.get(key, frozenset()), "{", 0, calls.kinds
            )
        ):
            return False
    if not calls.open and (yield from read.peek("}")):
        calls.start(name)
    return bool((yield from read.take("}")) or (yield from read.peek(*CLOSERS))) or (
        (yield from read.over(ENDS)) and not read.cut and "," not in gap
    )


def _name(read: Reader) -> Steps[str]:
    """A key with its colon: bare, or in any quotes."""
    mark = yield from read.take(*QUOTES, '"', "'")
    key = (yield from read.run(KEY, WORD_LIMIT)).strip()
    if mark:
        yield from read.take(mark)
    return key if (yield from read.take(":")) else ""


def _value(
    read: Reader, write: Emit, kinds: Kinds, inside: str, depth: int, keys: Container[str] = ()
) -> Steps[bool]:
    """One value; `keys` are those that the tool declares."""
    blanks = yield from read.skip()
    letter = yield from read.next()
    if mark := (yield from read.take_half(*QUOTES)):
        return (yield from _text(read, write, kinds, mark, inside if depth else "call"))
    if letter and letter in "{[" and depth < DEPTH_LIMIT:
        return (yield from _inner(read, write, letter, depth))
    if letter and letter in "\"'":
        write('"')
        whole = yield from string(
            read,
            lambda text: write(escaped(text)),
            "object" if inside == "{" else "array",
            (*CLOSERS, *QUOTES),
        )
        write('"' if whole else "")
        yield from read.take(*QUOTES)
        return whole
    word = yield from read.run(BARE)
    if (
        not depth
        and (not kinds or "string" in kinds)
        and not (yield from _bare_over(read, keys, ("}",)))
    ):
        return (yield from _raw(read, write, keys, (blanks if "\n" in blanks else "") + word))
    word = word.strip()
    if not word or (not (yield from read.next()) and (read.cut or word.lower() not in LITERALS)):
        return False
    write(fitting(bare(word) if " " not in word else "", kinds) or quote(word))
    return True


def _raw(read: Reader, write: Emit, keys: Container[str], begun: str) -> Steps[bool]:
    """A text without marks: it ends at the closing marker, or at a comma that the next key
    follows.
    """
    held = ""

    def emit(text: str) -> None:  # blanks before the end are no part of it
        nonlocal held
        body = text.rstrip()
        write(escaped(held + body) if body else "")
        held = text[len(body) :] if body else held + text

    write('"')
    emit(begun)
    while (yield from read.find(RAW_STOPS, emit)):
        read.back(1)
        if (yield from _bare_over(read, keys, ())):
            write('"')
            return True
        emit((yield from read.next()))
        read.drop(1)
    return False


def _bare_over(read: Reader, keys: Container[str], ends: tuple[str, ...]) -> Steps[bool]:
    """Whether a value without marks is over: behind a single word at one of `ends`, too."""

    def judge(seen: str) -> bool | None:
        rest = seen.lstrip()
        closed = rest[1:].lstrip() if rest[:1] == "}" else rest
        if not closed or any(closer.startswith(closed) for closer in CLOSERS):
            return True if rest.startswith(ends or CLOSERS) else None
        if (
            rest.startswith((*CLOSERS, *ends))
            or closed.startswith(CLOSERS)
            or (rest[0] == "}" and closed[0] in ",}]")
        ):
            return True
        if HALF_NEXT_KEY.fullmatch(rest):
            return None
        found = NEXT_KEY.match(rest)
        return found is not None and (found[1] is None or not keys or found[1] in keys)

    verdict = yield from wait(read, WORD_LIMIT, judge)
    return verdict is not False


def _inner(read: Reader, write: Emit, opener: str, depth: int) -> Steps[bool]:
    """An object or an array inside the arguments."""
    closer, begun = {"{": "}", "[": "]"}[opener], False
    read.drop(1)
    write(opener)
    while True:
        yield from read.run(SPACE)
        if (yield from read.take(closer)):
            write(closer)
            return True
        write("," if begun else "")
        if opener == "{":
            key = yield from _name(read)
            if not key:
                return False
            write(quote(key) + ":")
        begun = True
        if not (yield from _value(read, write, frozenset(), opener, depth + 1)):
            return False


def _text(read: Reader, write: Emit, kinds: Kinds, mark: str, inside: str) -> Steps[bool]:
    """Up to the mark that something follows which may follow a text."""
    typed_one = bool(kinds) and "string" not in kinds
    parts: list[str] = []
    emit: Emit = parts.append if typed_one else lambda text: write(escaped(text))
    write("" if typed_one else '"')
    known = compiled((mark, *UNQUOTED)) if inside == "call" else compiled((mark,))
    over, held = False, read.mark() if typed_one else None  # what is held has a limit
    while not over and (met := (yield from read.inside(known, emit))):
        if met != mark:
            over = yield from _closed_without_mark(read, met)
        else:
            over = yield from _over(read, "{" if inside == "call" else inside)
        emit("" if over else met if met != mark else '"')
    if held:
        read.release(held)
    if over:
        write(typed("".join(parts), kinds) if typed_one else '"')
    return over


def _closed_without_mark(read: Reader, met: str) -> Steps[bool]:
    """Whether the closers just read are meant: if nothing but another call, or the end of the
    turn, follows. Then they are unread.
    """
    read.back(len(met))
    here = read.mark()
    read.drop(len(met))
    behind = read.mark()
    yield from read.skip()
    meant = not (yield from read.next()) or bool((yield from read.peek(*BEHIND)))
    read.rewind(here if meant else behind)
    read.release(here)
    read.release(behind)
    return meant


def _over(read: Reader, inside: str) -> Steps[bool]:
    while True:
        seen, more = read.ahead()
        rest = seen.lstrip()
        if rest[:1] in ("}", "]") or rest.startswith(CLOSERS) or MEMBER[inside].match(rest):
            return True
        undecided = (
            not rest
            or HALF[inside].fullmatch(rest)
            or any(closer.startswith(rest) for closer in CLOSERS)
        )
        if not undecided:
            return False
        if not more:
            return True
        yield


UNOPENED = partial(grammar, named=Calls.declared)
DIALECT = Dialect(
    "gemma",
    sample(__doc__),
    grammar,
    OPENERS,
    ("call:",),
    UNOPENED,
    proofs=(*QUOTES, *CLOSERS),
    turns=TURNS,
    marks=QUOTES,
    models="gemma",
    family=("pythonic", "generic_json"),
)
