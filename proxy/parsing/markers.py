"""Regular expressions that find markers, and know when more text could still change the match."""

import re
from functools import lru_cache
from typing import NamedTuple


class Markers(NamedTuple):
    growing: re.Pattern[str]  # a marker, or part of one at the end of the text
    ended: re.Pattern[str]  # complete markers only: the text has ended
    # markers that begin a longer one, so they must wait at the end of the text
    shorter: frozenset[str]
    all: frozenset[str]


Tree = dict[str, "Tree"]
_NEVER = "(?!)"  # an empty alternation would match everywhere


@lru_cache(maxsize=512)
def compiled(markers: tuple[str, ...]) -> Markers:
    return _compiled(frozenset(markers))


@lru_cache(maxsize=512)
def _compiled(markers: frozenset[str]) -> Markers:
    """Compile a set of markers once: that takes some ten milliseconds, and their order is
    irrelevant.
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
    """Return a pattern for complete markers only, which is faster at the end of the text."""
    return re.compile(_pattern(_tree(markers), at_end=""))


def _tree(markers: frozenset[str]) -> Tree:
    tree: Tree = {}
    for marker in sorted(markers):
        node = tree
        for letter in marker:
            node = node.setdefault(letter, {})
        node[""] = {}
    return tree


def _pattern(tree: Tree, at_end: str) -> str:
    """Return the pattern of a prefix tree, longest markers first.

    `at_end` matches where the text may end inside a marker.
    """
    branches = [re.escape(letter) + _below(node, at_end) for letter, node in tree.items() if letter]
    return "(?:" + "|".join(branches or [_NEVER]) + ")"


def _below(node: Tree, at_end: str) -> str:
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
