"""Calls as a list of blocks, each with a name and then its arguments as JSON."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect
from proxy.parsing.grammars.call_arguments import payload
from proxy.parsing.reader import Reader, Steps


class Head(NamedTuple):
    name: str
    id: str | None = None


Heading: TypeAlias = Callable[[Reader, Calls], Steps[Head | None]]
"""Reads what stands before the arguments; None if it is no head of a call."""


@dataclass(frozen=True)
class Listing:
    """How a dialect spells its blocks."""

    begins: tuple[str, ...]  # one block
    ends: tuple[str, ...]
    heading: Heading
    openers: tuple[str, ...] = ()  # the whole list
    closers: tuple[str, ...] = ()
    # What says in a block's head that it is one though its first marker was lost.
    proof: re.Pattern[str] | None = None


def listed(
    name: str,
    sample: str,
    listing: Listing,
    *,
    turns: tuple[str, ...],
    marks: tuple[str, ...],
    models: str,
    starts: tuple[str, ...] = (),
) -> Dialect:
    """A dialect that is nothing but its listing; it may `start` without its first marker where
    there is a proof.
    """
    return Dialect(
        name,
        sample,
        grammar=partial(listed_calls, listing=listing),
        openers=(*listing.openers, *listing.begins),
        starts=starts,
        doubtful=partial(opener_missing, listing=listing) if starts else None,
        turns=turns,
        marks=marks,
        models=models,
    )


def opener_missing(read: Reader, calls: Calls, listing: Listing) -> Steps[None]:
    """The first marker may have been lost: then those behind it prove the call of a declared
    tool.
    """
    begin = yield from read.upto(0, "{")
    if listing.proof and listing.proof.match(begin):
        here = read.mark()
        head = yield from listing.heading(read, calls)
        read.rewind(here)
        read.release(here)
        if head and calls.declared(head.name):
            yield from listed_calls(read, calls, listing, certain=True)


def listed_calls(
    read: Reader, calls: Calls, listing: Listing, *, certain: bool = False
) -> Steps[None]:
    """All blocks; the first may lack its marker where the list has one, and the list may lack
    all of its own.
    """
    certain = bool((yield from read.take(*listing.openers))) or certain
    while True:
        here, before = read.mark(), calls.count
        yield from read.skip()
        if (yield from read.take(*listing.begins)) or certain:
            yield from _block(read, calls, listing)
        if calls.count == before:
            read.rewind(here)
        read.release(here)
        if calls.count == before or calls.broken or calls.open:
            break
        certain = False
        while (yield from _take(read, listing.ends)):
            certain = True
    if calls.count and not calls.broken and not calls.open:
        yield from _take(read, listing.closers)


def _block(read: Reader, calls: Calls, listing: Listing) -> Steps[None]:
    head = yield from listing.heading(read, calls)
    if head is not None:
        yield from payload(
            read, calls, head.name, (*listing.ends, *listing.closers, *listing.begins), head.id
        )


def _take(read: Reader, markers: tuple[str, ...]) -> Steps[bool]:
    """A marker behind blanks; the blanks are left alone if it does not come."""
    here = read.mark()
    yield from read.skip()
    met = bool((yield from read.take_half(*markers)))
    if not met and (yield from read.next()):
        read.rewind(here)
    read.release(here)
    return met
