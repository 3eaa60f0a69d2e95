"""Gemma 4 and FunctionGemma: `call:` and a name, then an object with bare keys and quote tokens.

SAMPLE:
<|tool_call>call:read_file{path:<|"|>notes.md<|"|>}<tool_call|>

Seen in practice: quote tokens inside a string, or one of them missing; strings without quotes; keys
with spaces; too many closing brackets or markers; JSON; no opening marker; no `call:`.
"""

import re
from collections.abc import Container
from functools import partial

from proxy.parsing.calls import CallWriter
from proxy.parsing.conversion import quote, typed
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.call_arguments import fit_scalar
from proxy.parsing.grammars.delimited_calls import Delimiters, delimited_calls
from proxy.parsing.grammars.json_strings import decide
from proxy.parsing.grammars.json_text import LITERALS, bare, escaped, string
from proxy.parsing.grammars.named_calls import NAME, ResolveName
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
"""Text that ends a string whose closing quote token is missing."""
BEHIND = (*OPENERS, *CLOSERS, *TURNS)


def grammar(
    reader: Reader, calls: CallWriter, named: ResolveName = CallWriter.resolve_name
) -> Steps[None]:
    """Read one call: an object in Gemma's syntax, or JSON between the same markers."""
    yield from reader.take(*OPENERS)
    yield from reader.skip_blanks()
    if (yield from reader.peek("{", "[")):
        yield from delimited_calls(reader, calls, Delimiters(OPENERS, CLOSERS))
        return
    yield from reader.take("call:", ":")
    yield from reader.skip_blanks()
    name = named(calls, (yield from reader.take_while(NAME)))
    yield from reader.skip_blanks()
    if name is None or not (yield from reader.take("{")):
        return
    whole = yield from _members(reader, calls, name)
    if calls.open and whole:
        calls.end()
        yield from _closers(reader)


def _closers(reader: Reader) -> Steps[None]:
    """Read the markers that close a call, also repeated ones, and the opener of the tool result."""
    yield from reader.take_while(LOOSE)
    while (yield from reader.take_partial(*CLOSERS)):
        pass
    yield from reader.take("<|tool_response>", "<start_function_response>")


def _members(reader: Reader, calls: CallWriter, name: str) -> Steps[bool]:
    """Read all arguments and the closing brace; return False if they are incomplete."""
    while True:
        gap = yield from reader.take_while(SPACE)
        here = reader.position
        key = yield from _name(reader)
        if not key and reader.position > here:
            return False
        if not key:
            break
        if not calls.open:
            calls.start(name)
        calls.key(key)
        if not (
            yield from _value(
                reader, calls.write, calls.kinds.get(key, frozenset()), "{", 0, calls.kinds
            )
        ):
            return False
    if not calls.open and (yield from reader.peek("}")):
        calls.start(name)
    return bool((yield from reader.take("}")) or (yield from reader.peek(*CLOSERS))) or (
        (yield from reader.at_end(ENDS)) and not reader.cut and "," not in gap
    )


def _name(reader: Reader) -> Steps[str]:
    """Read a key, bare or in any quotes, and its colon; return "" if there is none."""
    mark = yield from reader.take(*QUOTES, '"', "'")
    key = (yield from reader.take_while(KEY, WORD_LIMIT)).strip()
    if mark:
        yield from reader.take(mark)
    return key if (yield from reader.take(":")) else ""


def _value(
    reader: Reader, write: Emit, kinds: Kinds, inside: str, depth: int, keys: Container[str] = ()
) -> Steps[bool]:
    """Read one value; return False if it is incomplete.

    `keys` are the parameters that the tool declares.
    """
    blanks = yield from reader.skip_blanks()
    letter = yield from reader.peek_char()
    if mark := (yield from reader.take_partial(*QUOTES)):
        return (yield from _text(reader, write, kinds, mark, inside if depth else "call"))
    if letter and letter in "{[" and depth < DEPTH_LIMIT:
        return (yield from _inner(reader, write, letter, depth))
    if letter and letter in "\"'":
        write('"')
        whole = yield from string(
            reader,
            lambda text: write(escaped(text)),
            "object" if inside == "{" else "array",
            (*CLOSERS, *QUOTES),
        )
        write('"' if whole else "")
        yield from reader.take(*QUOTES)
        return whole
    word = yield from reader.take_while(BARE)
    if (
        not depth
        and (not kinds or "string" in kinds)
        and not (yield from _bare_over(reader, keys, ("}",)))
    ):
        return (yield from _raw(reader, write, keys, (blanks if "\n" in blanks else "") + word))
    word = word.strip()
    if not word or (
        not (yield from reader.peek_char()) and (reader.cut or word.lower() not in LITERALS)
    ):
        return False
    write(fit_scalar(bare(word) if " " not in word else "", kinds) or quote(word))
    return True


def _raw(reader: Reader, write: Emit, keys: Container[str], begun: str) -> Steps[bool]:
    """Read a string without quotes; return False if it is incomplete.

    The string ends at a closing marker, or at a comma before the next key.
    """
    held = ""

    def emit(text: str) -> None:  # hold back trailing whitespace
        nonlocal held
        body = text.rstrip()
        write(escaped(held + body) if body else "")
        held = text[len(body) :] if body else held + text

    write('"')
    emit(begun)
    while (yield from reader.find(RAW_STOPS, emit)):
        reader.back(1)
        if (yield from _bare_over(reader, keys, ())):
            write('"')
            return True
        emit((yield from reader.peek_char()))
        reader.advance(1)
    return False


def _bare_over(reader: Reader, keys: Container[str], ends: tuple[str, ...]) -> Steps[bool]:
    """Return whether a value without quotes ends here; read nothing.

    The value ends at a closing marker, at a comma before the next key, or at one of `ends`.
    """

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

    verdict = yield from decide(reader, WORD_LIMIT, judge)
    return verdict is not False


def _inner(reader: Reader, write: Emit, opener: str, depth: int) -> Steps[bool]:
    """Read an object or array inside the arguments; return False if it is incomplete."""
    closer, begun = {"{": "}", "[": "]"}[opener], False
    reader.advance(1)
    write(opener)
    while True:
        yield from reader.take_while(SPACE)
        if (yield from reader.take(closer)):
            write(closer)
            return True
        write("," if begun else "")
        if opener == "{":
            key = yield from _name(reader)
            if not key:
                return False
            write(quote(key) + ":")
        begun = True
        if not (yield from _value(reader, write, frozenset(), opener, depth + 1)):
            return False


def _text(reader: Reader, write: Emit, kinds: Kinds, mark: str, inside: str) -> Steps[bool]:
    """Read a string in quote tokens; return False if it is incomplete.

    `mark` is the quote token. It is a quote character inside the string unless the text after it
    may follow a string.
    """
    typed_one = bool(kinds) and "string" not in kinds
    parts: list[str] = []
    emit: Emit = parts.append if typed_one else lambda text: write(escaped(text))
    write("" if typed_one else '"')
    known = compiled((mark, *UNQUOTED)) if inside == "call" else compiled((mark,))
    over, held = (
        False,
        reader.mark() if typed_one else None,
    )  # the mark limits how much text is buffered
    while not over and (met := (yield from reader.find_inside(known, emit))):
        if met != mark:
            over = yield from _closed_without_mark(reader, met)
        else:
            over = yield from _over(reader, "{" if inside == "call" else inside)
        emit("" if over else met if met != mark else '"')
    if held:
        reader.release(held)
    if over:
        write(typed("".join(parts), kinds) if typed_one else '"')
    return over


def _closed_without_mark(reader: Reader, met: str) -> Steps[bool]:
    """Return whether the closers just read end a string without a closing quote token.

    They do if another call, the end of the turn or the end of the text follows. Then they are
    unread.
    """
    reader.back(len(met))
    here = reader.mark()
    reader.advance(len(met))
    behind = reader.mark()
    yield from reader.skip_blanks()
    meant = not (yield from reader.peek_char()) or bool((yield from reader.peek(*BEHIND)))
    reader.rewind(here if meant else behind)
    reader.release(here)
    reader.release(behind)
    return meant


def _over(reader: Reader, inside: str) -> Steps[bool]:
    """Return whether the quote token just read ends its string; read nothing."""
    while True:
        seen, more = reader.lookahead()
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


UNOPENED = partial(grammar, named=CallWriter.resolve_declared)
DIALECT = Dialect(
    "gemma",
    sample(__doc__),
    grammar,
    OPENERS,
    ("call:",),
    UNOPENED,
    tentative_proofs=(*QUOTES, *CLOSERS),
    end_tokens=TURNS,
    template_markers=QUOTES,
    model_pattern="gemma",
    family=("pythonic", "generic_json"),
)
