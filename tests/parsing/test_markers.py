"""Markers as one expression."""

import re

import pytest

from proxy.parsing.markers import compiled


@pytest.mark.parametrize(
    ("markers", "text", "growing", "ended"),
    [
        (("<a>",), "x<a>y", "<a>", "<a>"),
        (("<a>",), "x<a", "<a", None),
        (("<a>",), "x<", "<", None),
        (("<a>",), "x<b", None, None),
        (("<tool", "<tool_call>"), "<tool_call>", "<tool_call>", "<tool_call>"),
        (("<tool", "<tool_call>"), "<tool_ca", "<tool_ca", "<tool"),
        (("<tool", "<tool_call>"), "<tool_box", "<tool", "<tool"),
        (("ab</x", "</"), "ab</y", "</", "</"),
        (("[x]", "a|b"), "a|b", "a|b", "a|b"),
        (("[x]", "a|b"), "axb", None, None),
        ((), "x", None, None),
    ],
)
def test_finds_the_first_and_longest(
    markers: tuple[str, ...], text: str, growing: str | None, ended: str | None
) -> None:
    known = compiled(markers)
    assert _found(known.growing, text) == growing
    assert _found(known.ended, text) == ended


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found and found.group()


def test_knows_which_wait() -> None:
    assert compiled(("<tool", "<tool_call>")).shorter == {"<tool"}
    assert compiled(("<a>", "<b>")).shorter == frozenset()
