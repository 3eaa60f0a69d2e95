"""Gemma 4 and FunctionGemma: `call:` and a name, then an object in a syntax of their own: bare keys, and marks in place of quotes.

SAMPLE:
<|tool_call>call:read_file{path:<|"|>notes.md<|"|>}<tool_call|>

Seen as well: the marks inside a text, where they are quotes; keys with blanks; too many closing brackets; JSON; no opening marker.
"""

import re
from functools import partial

from proxy.stream.call_objects import ended, fitting
from proxy.stream.calls import Calls
from proxy.stream.dialect import Dialect, sample
from proxy.stream.json_text import escaped, scalar, string
from proxy.stream.marked_calls import Marks, marked_calls
from proxy.stream.markers import compiled
from proxy.stream.named_calls import NAME, Named
from proxy.stream.reader import Emit, Reader, Steps, complete
from proxy.stream.schema import Kinds, quote, typed

QUOTES = ('<|"|>', "<escape>")
OPENERS, CLOSERS = ("<|tool_call>", "<start_function_call>"), ("<tool_call|>", "<end_function_call>")
TURNS = ("<end_of_turn>", "<turn|>", "<start_function_response>", "<|tool_response>")
KEY, BARE = re.compile(r"[^:{}\[\],\"'<\n]*"), re.compile(r"[^,{}\[\]<>\"\n]*")
SPACE, LOOSE = re.compile(r"[\s,]*"), re.compile(r"[\s}\]]*")
MEMBER = {"{": re.compile(r",\s*[^:{}\[\],<\n]{1,64}:"), "[": re.compile(r",\s*(?:<|[-\w\"'{\[])")}
HALF = {"{": re.compile(r",\s*[^:{}\[\],<\n]{0,64}"), "[": re.compile(r",\s*")}
ENDS, DEPTH_LIMIT = compiled(CLOSERS), 32


def grammar(read: Reader, calls: Calls, named: Named = Calls.name) -> Steps[None]:
    yield from read.take(*OPENERS)
    yield from read.skip()
    if (yield from read.peek("{", "[")):
        yield from marked_calls(read, calls, Marks(OPENERS, CLOSERS))
        return
    yield from read.take("call:")
    yield from read.skip()
    name = named(calls, (yield from read.run(NAME)))
    yield from read.skip()
    if name is None or not (yield from read.take("{")):
        return
    whole = yield from _members(read, calls, name)
    if calls.open and whole:
        calls.end()
        yield from read.run(LOOSE)
        yield from read.take_half(*CLOSERS)


def _members(read: Reader, calls: Calls, name: str) -> Steps[bool]:
    """All arguments; False if they broke off."""
    while True:
        yield from read.run(SPACE)
        here = read.position
        key = yield from _name(read)
        if not key and read.position > here:
            return False
        if not key:
            break
        if not calls.open:
            calls.start(name)
        calls.key(key)
        if not (yield from _value(read, calls.write, calls.kinds.get(key, frozenset()), "{", 0)):
            return False
    if not calls.open and (yield from read.peek("}")):
        calls.start(name)
    return bool((yield from read.take("}")) or (yield from read.peek(*CLOSERS))) or ((yield from read.over(ENDS)) and not read.cut)


def _name(read: Reader) -> Steps[str]:
    """A key with its colon: bare, or in any quotes."""
    mark = yield from read.take(*QUOTES, '"', "'")
    key = (yield from read.run(KEY)).strip()
    if mark:
        yield from read.take(mark)
    return key if (yield from read.take(":")) else ""


def _value(read: Reader, write: Emit, kinds: Kinds, inside: str, depth: int) -> Steps[bool]:
    yield from read.skip()
    letter = yield from read.next()
    if mark := (yield from read.take_half(*QUOTES)):
        return (yield from _text(read, write, kinds, mark, inside))
    if letter and letter in "{[" and depth < DEPTH_LIMIT:
        return (yield from _inner(read, write, letter, depth))
    if letter and letter in "\"'":
        write('"')
        whole = yield from string(read, lambda text: write(escaped(text)), "object" if inside == "{" else "array", CLOSERS)
        write('"' if whole else "")
        return whole
    word = (yield from read.run(BARE)).strip()
    if not word or (read.cut and not (yield from read.next())):
        return False
    write(fitting(complete(scalar(ended(word))) if " " not in word else "", kinds) or quote(word))
    return True


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
    known = compiled((mark,))
    while (yield from read.inside(known, emit)):
        if (yield from _over(read, inside)):
            write(typed("".join(parts), kinds) if typed_one else '"')
            return True
        emit('"')
    return False


def _over(read: Reader, inside: str) -> Steps[bool]:
    while True:
        seen, more = read.ahead()
        rest = seen.lstrip()
        if rest[:1] in ("}", "]") or rest.startswith(CLOSERS) or MEMBER[inside].match(rest):
            return True
        undecided = not rest or HALF[inside].fullmatch(rest) or any(closer.startswith(rest) for closer in CLOSERS)
        if not undecided:
            return False
        if not more:
            return True
        yield


UNOPENED = partial(grammar, named=Calls.declared)
DIALECT = Dialect(
    "gemma", sample(__doc__), grammar, OPENERS, ("call:",), UNOPENED, proofs=(*QUOTES, *CLOSERS), turns=TURNS, marks=QUOTES, models="gemma"
)
