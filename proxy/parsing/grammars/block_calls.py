"""Grammar for tool calls written as a list of blocks, each with a name and JSON arguments."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect
from proxy.parsing.grammars.call_arguments import arguments_payload
from proxy.parsing.reader import Reader, Steps


class CallHeading(NamedTuple):
    """Name and optional id of a call, as written before its arguments."""

    name: str
    id: str | None = None


HeadingGrammar: TypeAlias = Callable[[Reader, CallWriter], Steps[CallHeading | None]]
"""Reads the heading of a call up to its arguments; returns None if the text is no heading."""


@dataclass(frozen=True)
class BlockFormat:
    """Markers and heading syntax that a dialect uses for its blocks."""

    block_openers: tuple[str, ...]  # markers that open one block
    block_closers: tuple[str, ...]
    heading: HeadingGrammar
    openers: tuple[str, ...] = ()  # markers that open the whole list
    closers: tuple[str, ...] = ()
    # Pattern of a heading that identifies a block even if its opening marker is missing.
    proof: re.Pattern[str] | None = None


def block_dialect(
    name: str,
    sample: str,
    block_format: BlockFormat,
    *,
    end_tokens: tuple[str, ...],
    template_markers: tuple[str, ...],
    model_pattern: str,
    tentative_openers: tuple[str, ...] = (),
) -> Dialect:
    """Build a dialect whose calls are all written in `block_format`.

    With `tentative_openers`, a message may begin with a block whose opening marker is missing,
    provided that `block_format.proof` matches its heading.
    """
    return Dialect(
        name,
        sample,
        grammar=partial(block_calls, block_format=block_format),
        openers=(*block_format.openers, *block_format.block_openers),
        tentative_openers=tentative_openers,
        tentative_grammar=partial(opener_missing, block_format=block_format)
        if tentative_openers
        else None,
        end_tokens=end_tokens,
        template_markers=template_markers,
        model_pattern=model_pattern,
    )


def opener_missing(reader: Reader, calls: CallWriter, block_format: BlockFormat) -> Steps[None]:
    """Read blocks whose first opening marker is missing.

    A call is recognized only if `block_format.proof` matches and the heading names a declared tool.
    """
    begin = yield from reader.lookahead_to(0, "{")
    if block_format.proof and block_format.proof.match(begin):
        here = reader.mark()
        head = yield from block_format.heading(reader, calls)
        reader.rewind(here)
        reader.release(here)
        if head and calls.resolve_declared(head.name):
            yield from block_calls(reader, calls, block_format, certain=True)


def block_calls(
    reader: Reader, calls: CallWriter, block_format: BlockFormat, *, certain: bool = False
) -> Steps[None]:
    """Read a list of blocks, with or without the markers around the whole list.

    A block may lack its opening marker if it follows the opener of the list or the closer of
    another block. With `certain`, the first block may always lack it.
    """
    certain = bool((yield from reader.take(*block_format.openers))) or certain
    while True:
        here, before = reader.mark(), calls.count
        yield from reader.skip_blanks()
        if (yield from reader.take(*block_format.block_openers)) or certain:
            yield from _block(reader, calls, block_format)
        if calls.count == before:
            reader.rewind(here)
        reader.release(here)
        if calls.count == before or calls.aborted or calls.open:
            break
        certain = False
        while (yield from _take(reader, block_format.block_closers)):
            certain = True
    if calls.count and not calls.aborted and not calls.open:
        yield from _take(reader, block_format.closers)


def _block(reader: Reader, calls: CallWriter, block_format: BlockFormat) -> Steps[None]:
    """Read the heading and the arguments of one block."""
    head = yield from block_format.heading(reader, calls)
    if head is not None:
        yield from arguments_payload(
            reader,
            calls,
            head.name,
            (*block_format.block_closers, *block_format.closers, *block_format.block_openers),
            head.id,
        )


def _take(reader: Reader, markers: tuple[str, ...]) -> Steps[bool]:
    """Skip whitespace and read one of `markers`; return whether it was there.

    The whitespace stays unread if other text follows.
    """
    here = reader.mark()
    yield from reader.skip_blanks()
    met = bool((yield from reader.take_partial(*markers)))
    if not met and (yield from reader.peek_char()):
        reader.rewind(here)
    reader.release(here)
    return met
