"""Calls as a list of blocks, each with a name and then its arguments as JSON."""

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
    name: str
    id: str | None = None


HeadingGrammar: TypeAlias = Callable[[Reader, CallWriter], Steps[CallHeading | None]]
"""Reads what stands before the arguments; None if it is no head of a call."""


@dataclass(frozen=True)
class BlockFormat:
    """How a dialect spells its blocks."""

    block_openers: tuple[str, ...]  # one block
    block_closers: tuple[str, ...]
    heading: HeadingGrammar
    openers: tuple[str, ...] = ()  # the whole list
    closers: tuple[str, ...] = ()
    # What says in a block's head that it is one though its first marker was lost.
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
    """A dialect that is nothing but its listing; it may `start` without its first marker where
    there is a proof.
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
    """The first marker may have been lost: then those behind it prove the call of a declared
    tool.
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
    """All blocks; the first may lack its marker where the list has one, and the list may lack
    all of its own.
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
    """A marker behind blanks; the blanks are left alone if it does not come."""
    here = reader.mark()
    yield from reader.skip_blanks()
    met = bool((yield from reader.take_partial(*markers)))
    if not met and (yield from reader.peek_char()):
        reader.rewind(here)
    reader.release(here)
    return met
