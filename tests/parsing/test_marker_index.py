"""The index of all markers of a set of dialects."""

from dataclasses import replace

from proxy.dialects import DIALECTS
from proxy.parsing.marker_index import MarkerIndex


def test_a_tentative_grammar_that_dialects_share_is_tried_once() -> None:
    shared = DIALECTS["generic_json"]
    index = MarkerIndex((shared, replace(shared, name="other")), (), (), tools=True)
    assert index.tentative
    assert all(dialects == [shared] for dialects in index.tentative.values())
