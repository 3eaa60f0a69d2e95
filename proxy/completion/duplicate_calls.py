"""The same call, parsed by the backend and written in the text of one answer, is one call.

Calls of the two kinds are paired one to one, by name and arguments. Whichever comes second is held
until it is whole and compared; calls behind it wait for their turn, so that the order stays. Two
equal calls of one kind are two calls.
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
"""The reader that found a call; its indexes are its own."""


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
    """Takes the calls of one choice in the order in which they come; gives out those that are no
    copies.
    """

    def __init__(self) -> None:
        self.is_unsure = False  # a call was too long to be compared: both were given out
        self._open: dict[tuple[Finder, int], _SeenCall] = {}  # without an end
        self._held: deque[_SeenCall] = deque()
        # Given out, by kind and name, without an end.
        self._sent_open: Counter[tuple[bool, str]] = Counter()
        # Given out whole, and nothing was their copy.
        self._sent_whole: Counter[tuple[bool, str]] = Counter()
        self._digests: Counter[tuple[tuple[bool, str], bytes]] = Counter()  # of these
        self._kept_size = 0  # letters of arguments
        self._gave_up = False  # nothing is compared any more

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
        """No more will come: what is whole and still held is no copy; half a call is left out."""
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
        """None while it cannot be known.

        Half a call beside a whole one of its name is left out like a copy: no client can run it.
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
        """Remember what was given out to its end."""
        if call.end is not None and call.end.whole:
            self._sent_whole[call.kind] += 1
            if not self._gave_up:
                self._digests[call.kind, _digest(call)] += 1
        self._forget_arguments(call)

    def _forget_arguments(self, call: _SeenCall) -> None:
        self._kept_size -= call.arguments.tell()
        call.arguments = io.StringIO()


def _digest(call: _SeenCall) -> bytes:
    """The arguments as a value: order of keys, blanks, escapes and forms of one number make no
    difference.
    """
    text = call.arguments.getvalue()
    try:
        value = json.loads(text, parse_float=_number, strict=False)
        text = json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        pass  # it is compared as it stands
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
