"""Law 8 over all tables: what a named dialect reads, it reads as `auto` does."""

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.parsing.parser import ChoiceParser
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
from tests.parsing.cuts import events_of, seen

TABLES = (test_tags.CASES, test_lists.CASES, test_python_and_json.CASES, test_half_calls.DAMAGED)


TEXTS = [
    *(
        (one.name, one.text, one.finish)
        for table in TABLES
        for one in table
        if one.thinking == "tags"
    ),
    *(
        (name, text, "stop")
        for table in (test_families, test_hermes, test_qwen3_coder)
        for name, (text, _) in table.CASES.items()
    ),
    *((name, text, "stop") for name, rows in test_edge_cases.CASES.items() for text, _ in rows),
]


def reads(name: str, text: str, finish: str) -> bool:
    """Whether a dialect finds a call, all by itself."""
    alone = ChoiceParser(test_half_calls.BASH, dialects=[DIALECTS[name]], reasoning_tags=())
    return any(call.whole for call in seen(events_of(alone, [text], finish)).calls)


@pytest.mark.parametrize("name", WRITTEN)
def test_law_8_a_named_dialect_reads_its_calls_as_well_as_auto(name: str) -> None:
    for case, text, finish in TEXTS:
        if reads(name, text, finish):
            named = seen(events_of(Parser(test_half_calls.BASH, name), [text], finish))
            assert named == seen(events_of(Parser(test_half_calls.BASH), [text], finish)), case
