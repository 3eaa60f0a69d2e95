"""Law 8: a named dialect reads at least what `auto` reads for that family of models."""

from collections.abc import Iterator

import pytest

from proxy.dialects import DIALECTS, Parser, chosen
from proxy.stream import parser
from tests.dialects import (
    test_edge_cases,
    test_families,
    test_half_calls,
    test_hermes,
    test_lists,
    test_python_and_json,
    test_qwen3_coder,
    test_tags,
)
from tests.dialects.renderers import WRITTEN
from tests.dialects.table import TOOLS
from tests.stream.cuts import events_of, seen

CALLS = [("log_water", {"plant": "a fern", "millilitres": 3}), ("list_drones", {})]
TABLES = (test_tags.CASES, test_lists.CASES, test_python_and_json.CASES, test_half_calls.DAMAGED)
TEXTS = [
    *((one.name, one.text, one.finish) for table in TABLES for one in table if one.thinking == "tags"),
    *((name, text, "stop") for table in (test_families, test_hermes, test_qwen3_coder) for name, (text, _) in table.CASES.items()),
    *((name, text, "stop") for name, rows in test_edge_cases.CASES.items() for text, _ in rows),
]


def family(name: str) -> Iterator[str]:
    return (one.name for one in chosen(name) if one.name in WRITTEN)


def reads(name: str, text: str, finish: str) -> bool:
    """Whether a dialect finds a call, all by itself."""
    alone = parser.Parser(test_half_calls.BASH, dialects=[DIALECTS[name]], thoughts=())
    return any(call.whole for call in seen(events_of(alone, [text], finish)).calls)


@pytest.mark.parametrize("name", WRITTEN)
def test_relatives_are_read(name: str) -> None:
    for relative in family(name):
        text = WRITTEN[relative].render(CALLS)
        assert seen(events_of(Parser(TOOLS, name), [text])) == seen(events_of(Parser(TOOLS), [text])), relative


@pytest.mark.parametrize("name", WRITTEN)
def test_what_it_reads_at_all_it_reads_as_well_as_all_together(name: str) -> None:
    for case, text, finish in TEXTS:
        if reads(name, text, finish):
            named = seen(events_of(Parser(test_half_calls.BASH, name), [text], finish))
            assert named == seen(events_of(Parser(test_half_calls.BASH), [text], finish)), case


def test_a_family_is_made_of_dialects_and_read_with_their_own_relatives() -> None:
    assert all(relative in DIALECTS for one in DIALECTS.values() for relative in one.family)
    assert {"functionary", "llama3", "pythonic", "llama4"} <= {one.name for one in chosen("functionary")}
    assert chosen("functionary")[0].name == "functionary"
