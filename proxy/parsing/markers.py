"""Several markers as one regular expression that also knows when more text could still change
its answer.
"""

import re
from functools import lru_cache
from typing import NamedTuple


class Markers(NamedTuple):
    growing: re.Pattern[str]  # a marker, or a part of one at the end of the text
    ended: re.Pattern[str]  # whole markers only: no more text will come
    shorter: frozenset[str]  # markers that begin a longer one: at the end of the text they wait
    all: frozenset[str]


Tree = dict[str, "Tree"]
_NEVER = "(?!)"  # without it no marker at all would be found everywhere


@lru_cache(maxsize=512)
def compiled(markers: tuple[str, ...]) -> Markers:
    return _compiled(frozenset(markers))


@lru_cache(maxsize=512)
def _compiled(markers: frozenset[str]) -> Markers:
    """The order makes no difference, and compiling takes some ten milliseconds: each set is
    compiled once.
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
    """Return a pattern of whole markers only: half of the work where no more text will come."""
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
    """A tree of letters, longest first; `at_end` matches wherever the text may run out inside a
    marker.
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
