"""Regular expressions that find markers, including partial ones at the end of the text."""

import re
from functools import lru_cache
from typing import NamedTuple


class Markers(NamedTuple):
    """Set of markers, compiled to regular expressions."""

    growing: re.Pattern[str]  # matches a marker, or part of one at the end of the text
    ended: re.Pattern[str]  # matches complete markers only, for a text that has ended
    # Markers that begin a longer one. At the end of the text, more text may complete that one.
    shorter: frozenset[str]
    all: frozenset[str]


Tree = dict[str, "Tree"]
_NEVER = "(?!)"  # for an empty set of markers, because an empty pattern would match everywhere


@lru_cache(maxsize=512)
def compiled(markers: tuple[str, ...]) -> Markers:
    return _compiled(frozenset(markers))


@lru_cache(maxsize=512)
def _compiled(markers: frozenset[str]) -> Markers:
    """Compile a set of markers.

    This takes about ten milliseconds, so the result is cached for any order of the markers.
    """
    shorter = frozenset(
        short
        for short in markers
        if any(long != short and long.startswith(short) for long in markers)
    )
    growing = re.compile(_pattern(_tree(markers), at_end=r"\Z"))
    return Markers(growing, compiled_ended(markers), shorter, markers)


@lru_cache(maxsize=512)
def compiled_ended(markers: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern that matches complete markers only, for a text that cannot grow."""
    return re.compile(_pattern(_tree(markers), at_end=""))


def _tree(markers: frozenset[str]) -> Tree:
    """Return the prefix tree of the markers. The key "" stands for the end of a marker."""
    tree: Tree = {}
    for marker in sorted(markers):
        node = tree
        for letter in marker:
            node = node.setdefault(letter, {})
        node[""] = {}
    return tree


def _pattern(tree: Tree, at_end: str) -> str:
    """Return the pattern of a prefix tree, which prefers longer markers.

    `at_end` is a pattern for the point at which the text may end inside a marker.
    """
    branches = [re.escape(letter) + _below(node, at_end) for letter, node in tree.items() if letter]
    return "(?:" + "|".join(branches or [_NEVER]) + ")"


def _below(node: Tree, at_end: str) -> str:
    """Return the pattern for the rest of a marker after the characters that lead to `node`."""
    if node.keys() == {""}:
        return ""
    branches = [
        re.escape(letter) + _below(longer, at_end) for letter, longer in node.items() if letter
    ]
    if at_end:
        branches.append(at_end)
    if "" in node:
        branches.append("")
    return "(?:" + "|".join(branches) + ")"
