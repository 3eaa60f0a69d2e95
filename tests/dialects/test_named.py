"""Law 8: a named dialect reads at least what `auto` reads for that family of models."""

from collections.abc import Iterator

import pytest

from proxy.dialects import DIALECTS, Parser, select
from tests.dialects.renderers import WRITTEN
from tests.dialects.table import TOOLS
from tests.parsing.cuts import events_of, seen

CALLS = [("log_water", {"plant": "a fern", "millilitres": 3}), ("list_drones", {})]


def family(name: str) -> Iterator[str]:
    return (one.name for one in select(name) if one.name in WRITTEN)


@pytest.mark.parametrize("name", WRITTEN)
def test_law_8_a_named_dialect_reads_its_family(name: str) -> None:
    for relative in family(name):
        text = WRITTEN[relative].render(CALLS)
        assert seen(events_of(Parser(TOOLS, name), [text])) == seen(
            events_of(Parser(TOOLS), [text])
        ), relative


def test_a_family_is_made_of_dialects_and_read_with_their_own_relatives() -> None:
    assert all(relative in DIALECTS for one in DIALECTS.values() for relative in one.family)
    assert {"functionary", "llama3", "pythonic", "llama4"} <= {
        one.name for one in select("functionary")
    }
    assert select("functionary")[0].name == "functionary"
