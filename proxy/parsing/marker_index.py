"""What to look for in an answer: worked out once from the dialects, and kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from proxy.parsing.calls import Tools
from proxy.parsing.dialect import A_NAME, Dialect, Frame, Hint, Thoughts
from proxy.parsing.grammar_runner import Trial
from proxy.parsing.markers import compiled, compiled_ended
from proxy.parsing.quoting import QuotedCalls, Standing
from proxy.parsing.reader import Reader, Steps

T = TypeVar("T")
FENCES = ("```", "~~~")
NAME_LIMIT = 128
_AFTER_NAME = frozenset(" \t\r\n({<:[")
NO_HINT = Hint()
BOUNDARIES = ("<|start|>", "<|end|>", "<|return|>", "<|call|>")
"""Begin or end a message whatever the model is; so do the turn tokens of its own dialect, and
what closes reasoning.
"""


class Look:
    def __init__(
        self,
        dialects: Sequence[Dialect],
        thoughts: Sequence[Thoughts],
        turns: Sequence[str],
        labels: Sequence[Thoughts] = (),
        own_turns: Sequence[str] = (),
        *,
        tools: bool,
        hint: Hint = NO_HINT,
        quoted_calls: QuotedCalls = "text",
    ) -> None:
        able = dialects if tools else ()
        self.trials: Mapping[str, Sequence[Trial]] = _by_marker(
            (marker, (one.name, one.grammar))
            for one in able
            if one.grammar
            for marker in one.openers
        )
        self.first_trials: Mapping[str, Sequence[Trial]] = _by_marker(
            (marker, (one.name, one.grammar))
            for one in able
            if one.grammar
            for marker in one.first_openers
        )
        self.doubtful: Mapping[str, Sequence[Dialect]] = _by_marker(
            (start, one) for one in able for start in one.starts
        )
        self.frames: Mapping[str, Sequence[Frame | None]] = _by_marker(
            (header, one.frame) for one in dialects for header in one.headers
        )
        self.thoughts = _closers(thoughts)
        self.closers = tuple(
            dict.fromkeys(closer for closers in self.thoughts.values() for closer in closers)
        )
        self.labels = {
            opener: (*closers, *self.closers) for opener, closers in _closers(labels).items()
        }
        self.turns = frozenset(turns)
        self.tail = compiled(tuple(self.turns))
        self.own_turns = frozenset(own_turns)
        prose = (*self.trials, *self.thoughts, *self.turns)
        self.prose, self.lines = compiled(prose), compiled((*prose, "\n"))
        starts = [start for start in self.doubtful if start != A_NAME]
        self.begin = compiled(
            (*self.thoughts, *self.closers, *self.frames, *starts, *(FENCES if able else ()))
        )
        self.fenced = compiled((*self.trials, *starts))
        self.part = compiled((*self.frames, *self.trials, *self.thoughts))
        self.quoting = quoted_calls == "text"
        own = [one for one in able if one.is_own(hint)]
        self.own = frozenset(one.name for one in own)
        self.boundaries = frozenset((*BOUNDARIES, *(token for one in own for token in one.turns)))
        self.boundary = compiled_ended(frozenset((*self.boundaries, *self.closers)))
        known = any(
            one.shares_opener(hint.template) or any(mark in hint.template for mark in one.marks)
            for one in able
        )
        self._weak = tuple(opener for one in able if one.weak for opener in _openers(one))
        self._own_openers = tuple(opener for one in own for opener in _openers(one))
        self._shared = (
            tuple(
                opener
                for one in able
                if one.shares_opener(hint.template)
                for opener in _openers(one)
            )
            if known
            else ("",)
        )

    def standing(self, opener: str) -> Standing:
        """Return how an opener stands to the model; one that it shares with a dialect of the
        model's is the model's.
        """
        own = opener.startswith(self._own_openers)
        return Standing(
            own,
            not own and not opener.startswith(self._shared),
            not own and opener.startswith(self._weak),
        )

    def name(self, read: Reader, tools: Tools) -> Steps[bool]:
        """Whether the name of a tool comes next, and ends there."""
        if A_NAME not in self.doubtful:
            return False
        while True:
            seen, more = read.ahead(NAME_LIMIT + 1)
            if any(letter in _AFTER_NAME and seen[:at] in tools for at, letter in enumerate(seen)):
                return True
            if not more or not tools.may_become_name(seen):
                return False
            yield


def _openers(dialect: Dialect) -> tuple[str, ...]:
    return (*dialect.openers, *dialect.first_openers)


def _closers(thoughts: Sequence[Thoughts]) -> dict[str, tuple[str, ...]]:
    """All closers of each opener."""
    found: dict[str, tuple[str, ...]] = {}
    for one in thoughts:
        found[one.opener] = (*found.get(one.opener, ()), *one.closers)
    return found


def _by_marker(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """Each marker with all that it may begin, also by a shorter marker inside it; a grammar that
    two dialects share is tried once.
    """
    known = list(pairs)
    return {
        marker: list(_once(one for begin, one in known if marker.startswith(begin)))
        for marker, _ in known
    }


def _once(same: Iterable[T]) -> Iterator[T]:
    seen = []
    for one in same:
        grammar = one[1] if isinstance(one, tuple) else getattr(one, "doubtful", one)
        if grammar not in seen:
            seen.append(grammar)
            yield one


@lru_cache(maxsize=64)
def look(
    dialects: tuple[Dialect, ...],
    thoughts: tuple[Thoughts, ...],
    turns: tuple[str, ...],
    labels: tuple[Thoughts, ...],
    own_turns: tuple[str, ...],
    tools: bool,  # noqa: FBT001 - a key
    hint: Hint,
    quoted_calls: QuotedCalls,
) -> Look:
    return Look(
        dialects,
        thoughts,
        turns,
        labels,
        own_turns,
        tools=tools,
        hint=hint,
        quoted_calls=quoted_calls,
    )
