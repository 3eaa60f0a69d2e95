"""Index of the markers to look for in an answer, cached by the dialects that are in use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from proxy.parsing.calls import ToolIndex
from proxy.parsing.dialect import A_NAME, Dialect, HeaderGrammar, ModelHint, ReasoningTags
from proxy.parsing.grammar_runner import NamedGrammar
from proxy.parsing.markers import compiled, compiled_ended
from proxy.parsing.quoting import OpenerTrust, QuotedCalls
from proxy.parsing.reader import Reader, Steps

T = TypeVar("T")
FENCES = ("```", "~~~")
NAME_LIMIT = 128
_AFTER_NAME = frozenset(" \t\r\n({<:[")
NO_HINT = ModelHint()
BOUNDARIES = ("<|start|>", "<|end|>", "<|return|>", "<|call|>")
"""Tokens that begin or end a message of any model.

The end tokens of the model's own dialects and the closers of reasoning count too.
"""


class MarkerIndex:
    """Markers of the dialects in use, grouped by the places where they may appear."""

    def __init__(
        self,
        dialects: Sequence[Dialect],
        reasoning_tags: Sequence[ReasoningTags],
        end_tokens: Sequence[str],
        labels: Sequence[ReasoningTags] = (),
        own_end_tokens: Sequence[str] = (),
        *,
        tools: bool,
        hint: ModelHint = NO_HINT,
        quoted_calls: QuotedCalls = "text",
    ) -> None:
        able = dialects if tools else ()
        self.grammars: Mapping[str, Sequence[NamedGrammar]] = _by_marker(
            (marker, (one.name, one.grammar))
            for one in able
            if one.grammar
            for marker in one.openers
        )
        self.first_grammars: Mapping[str, Sequence[NamedGrammar]] = _by_marker(
            (marker, (one.name, one.grammar))
            for one in able
            if one.grammar
            for marker in one.first_openers
        )
        self.tentative: Mapping[str, Sequence[Dialect]] = _by_marker(
            (start, one) for one in able for start in one.tentative_openers
        )
        self.headers: Mapping[str, Sequence[HeaderGrammar | None]] = _by_marker(
            (header, one.header_grammar) for one in dialects for header in one.headers
        )
        self.reasoning = _closers(reasoning_tags)
        self.closers = tuple(
            dict.fromkeys(closer for closers in self.reasoning.values() for closer in closers)
        )
        self.labels = {
            opener: (*closers, *self.closers) for opener, closers in _closers(labels).items()
        }
        self.end_tokens = frozenset(end_tokens)
        self.end_token_markers = compiled(tuple(self.end_tokens))
        self.own_end_tokens = frozenset(own_end_tokens)
        prose = (*self.grammars, *self.reasoning, *self.end_tokens)
        self.text_markers, self.line_markers = compiled(prose), compiled((*prose, "\n"))
        starts = [start for start in self.tentative if start != A_NAME]
        self.start_markers = compiled(
            (*self.reasoning, *self.closers, *self.headers, *starts, *(FENCES if able else ()))
        )
        self.fence_markers = compiled((*self.grammars, *starts))
        self.part_markers = compiled((*self.headers, *self.grammars, *self.reasoning))
        self.has_quote_rules = quoted_calls == "text"
        own = [one for one in able if one.is_own(hint)]
        self.own = frozenset(one.name for one in own)
        self.boundaries = frozenset(
            (*BOUNDARIES, *(token for one in own for token in one.end_tokens))
        )
        self.boundary = compiled_ended(frozenset((*self.boundaries, *self.closers)))
        known = any(
            one.shares_opener(hint.template)
            or any(mark in hint.template for mark in one.template_markers)
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

    def trust(self, opener: str) -> OpenerTrust:
        """Return what is known about the model's use of `opener`.

        An opener that is shared with one of the model's dialects counts as the model's own.
        """
        own = opener.startswith(self._own_openers)
        return OpenerTrust(
            own,
            not own and not opener.startswith(self._shared),
            not own and opener.startswith(self._weak),
        )

    def tool_name_follows(self, reader: Reader, tools: ToolIndex) -> Steps[bool]:
        """Return whether the name of a declared tool comes next and ends there."""
        if A_NAME not in self.tentative:
            return False
        while True:
            seen, more = reader.lookahead(NAME_LIMIT + 1)
            if any(letter in _AFTER_NAME and seen[:at] in tools for at, letter in enumerate(seen)):
                return True
            if not more or not tools.is_name_prefix(seen):
                return False
            yield


def _openers(dialect: Dialect) -> tuple[str, ...]:
    return (*dialect.openers, *dialect.first_openers)


def _closers(reasoning_tags: Sequence[ReasoningTags]) -> dict[str, tuple[str, ...]]:
    """Return all closers of each opener."""
    found: dict[str, tuple[str, ...]] = {}
    for one in reasoning_tags:
        found[one.opener] = (*found.get(one.opener, ()), *one.closers)
    return found


def _by_marker(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    """Map each marker to the values given for it and for all markers that are a prefix of it.

    A grammar that two dialects share is listed once.
    """
    known = list(pairs)
    return {
        marker: list(_once(one for begin, one in known if marker.startswith(begin)))
        for marker, _ in known
    }


def _once(same: Iterable[T]) -> Iterator[T]:
    """Yield the values without those whose grammar was already yielded."""
    seen = []
    for one in same:
        grammar = one[1] if isinstance(one, tuple) else getattr(one, "tentative_grammar", one)
        if grammar not in seen:
            seen.append(grammar)
            yield one


@lru_cache(maxsize=64)
def marker_index(
    dialects: tuple[Dialect, ...],
    reasoning_tags: tuple[ReasoningTags, ...],
    end_tokens: tuple[str, ...],
    labels: tuple[ReasoningTags, ...],
    own_end_tokens: tuple[str, ...],
    tools: bool,  # noqa: FBT001 - part of the cache key
    hint: ModelHint,
    quoted_calls: QuotedCalls,
) -> MarkerIndex:
    return MarkerIndex(
        dialects,
        reasoning_tags,
        end_tokens,
        labels,
        own_end_tokens,
        tools=tools,
        hint=hint,
        quoted_calls=quoted_calls,
    )
