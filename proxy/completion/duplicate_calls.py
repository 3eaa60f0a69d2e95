"""Removal of duplicate calls: one that the backend parsed, and the same one in the text.

Calls of these two kinds are paired one to one, by name and arguments. A call that may be a
duplicate is held until it is complete and can be compared. Later calls are held as well, to keep
the order. Two equal calls of the same kind are not duplicates.
"""

import hashlib
import io
import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from proxy.parsing.events import CallArguments, CallEnd, CallStart
from proxy.parsing.window import HELD_LIMIT

CallEvent: TypeAlias = CallStart | CallArguments | CallEnd
Finder: TypeAlias = object
"""Source of a call, such as a parser. The index of a call is unique only within its source."""


@dataclass(slots=True)
class _SeenCall:
    finder: Finder
    start: CallStart
    is_native: bool
    arguments: io.StringIO = field(default_factory=io.StringIO)
    end: CallEnd | None = None
    is_held: bool = False

    @property
    def kind(self) -> tuple[bool, str]:
        return self.is_native, self.start.name

    @property
    def other_kind(self) -> tuple[bool, str]:
        return not self.is_native, self.start.name


class DuplicateFilter:
    """Filter that takes the events of all calls of one choice, and drops duplicate calls."""

    def __init__(self) -> None:
        self.is_unsure = False  # calls were too long to compare, so duplicates may have been sent
        self._open: dict[tuple[Finder, int], _SeenCall] = {}  # calls without a CallEnd yet
        self._held: deque[_SeenCall] = deque()
        # Number of sent calls without a CallEnd yet, by kind and name.
        self._sent_open: Counter[tuple[bool, str]] = Counter()
        # Number of sent complete calls that have no duplicate yet, by kind and name.
        self._sent_whole: Counter[tuple[bool, str]] = Counter()
        # Number of these calls by kind, name and digest of their arguments.
        self._digests: Counter[tuple[tuple[bool, str], bytes]] = Counter()
        self._kept_size = 0  # characters of arguments that are kept for comparison
        self._gave_up = False  # the arguments are too long, so calls are no longer compared

    @property
    def holds_native(self) -> bool:
        return any(call.is_native for call in self._held)

    def take(
        self, finder: Finder, event: CallEvent, *, is_native: bool
    ) -> Sequence[tuple[Finder, CallEvent]]:
        match event:
            case CallArguments():
                return self._arguments(self._open[finder, event.index], event)
            case CallStart():
                return list(self._started(_SeenCall(finder, event, is_native)))
            case _:
                return list(self._ended(self._open.pop((finder, event.index)), event))

    def end(self) -> Iterator[tuple[Finder, CallEvent]]:
        """Return the events of the held calls that are complete, at the end of the answer.

        These are not duplicates. Held calls that are incomplete are dropped.
        """
        for call in self._held:
            if call.end is not None and call.end.whole:
                yield from self._emit(call)
        self._held.clear()

    def _started(self, call: _SeenCall) -> Iterator[tuple[Finder, CallEvent]]:
        self._open[call.finder, call.start.index] = call
        may_be_copy = self._may_have_original(call)
        self.is_unsure = self.is_unsure or (may_be_copy and self._gave_up)
        if (may_be_copy or self._held) and not self._gave_up:
            call.is_held = True
            self._held.append(call)
        else:
            self._sent_open[call.kind] += 1
            yield call.finder, call.start

    def _arguments(
        self, call: _SeenCall, event: CallArguments
    ) -> Sequence[tuple[Finder, CallEvent]]:
        passes = () if call.is_held else ((call.finder, event),)
        if self._gave_up:
            return passes
        self._kept_size += call.arguments.write(event.text)
        return passes if self._kept_size <= HELD_LIMIT else [*passes, *self._give_up()]

    def _ended(self, call: _SeenCall, event: CallEnd) -> Iterator[tuple[Finder, CallEvent]]:
        call.end = event
        if not call.is_held:
            self._sent_open[call.kind] -= 1
            yield call.finder, event
            self._remember(call)
        yield from self._decided()

    def _give_up(self) -> Iterator[tuple[Finder, CallEvent]]:
        self._gave_up, self._kept_size = True, 0
        self.is_unsure = self.is_unsure or bool(self._held)
        for call in self._held:
            yield from self._emit(call)
        self._held.clear()
        for call in self._open.values():
            call.arguments = io.StringIO()

    def _decided(self) -> Iterator[tuple[Finder, CallEvent]]:
        while self._held and (is_copy := self._is_copy(self._held[0])) is not None:
            call = self._held.popleft()
            if is_copy:
                self._forget_arguments(call)
            else:
                yield from self._emit(call)

    def _is_copy(self, call: _SeenCall) -> bool | None:
        """Return whether `call` is a duplicate, or None while that is unknown.

        A call that broke off counts as a duplicate of a complete call with the same name, because
        no client could run it.
        """
        if not self._may_have_original(call):
            return False
        if call.end is None:
            return None
        if not call.end.whole:
            return True if self._sent_whole[call.other_kind] else None
        original = call.other_kind, _digest(call)
        if self._digests[original]:
            self._digests[original] -= 1
            self._sent_whole[call.other_kind] -= 1
            return True
        return None if self._sent_open[call.other_kind] else False

    def _may_have_original(self, call: _SeenCall) -> bool:
        return bool(self._sent_open[call.other_kind] or self._sent_whole[call.other_kind])

    def _emit(self, call: _SeenCall) -> Iterator[tuple[Finder, CallEvent]]:
        call.is_held = False
        yield call.finder, call.start
        if arguments := call.arguments.getvalue():
            yield call.finder, CallArguments(call.start.index, arguments)
        if call.end is None:
            self._sent_open[call.kind] += 1
        else:
            yield call.finder, call.end
            self._remember(call)

    def _remember(self, call: _SeenCall) -> None:
        """Record a call that was sent completely, to compare later calls with it."""
        if call.end is not None and call.end.whole:
            self._sent_whole[call.kind] += 1
            if not self._gave_up:
                self._digests[call.kind, _digest(call)] += 1
        self._forget_arguments(call)

    def _forget_arguments(self, call: _SeenCall) -> None:
        self._kept_size -= call.arguments.tell()
        call.arguments = io.StringIO()


def _digest(call: _SeenCall) -> bytes:
    """Return a digest of the arguments that is the same for equal JSON values.

    Key order, whitespace, escapes and number formats make no difference.
    """
    text = call.arguments.getvalue()
    try:
        value = json.loads(text, parse_float=_number, strict=False)
        text = json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        pass  # invalid JSON is compared as text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
