"""Answers cut at every byte, on the pipeline alone."""

import pytest

from tests.backend import END
from tests.completion.test_duplicate_calls import FERN
from tests.completion.test_pipeline import RECORDED, _answer, _cuts, _without_our_ids
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, told
from tests.web.test_chat_calls import JSON, WATERED, letters


@pytest.mark.parametrize("name", RECORDED)
def test_cut_at_every_byte(name: str) -> None:
    recorded, meant = RECORDED[name]
    for pieces in _cuts(recorded.encode()):
        answer = [_without_our_ids(heard) for heard in _answer(pieces, len(meant))]
        assert answer == meant, pieces


@BOTH
async def test_where_the_text_stops_in_the_middle_for_the_parsed_call(streamed: bool) -> None:
    leaked = letters(JSON, 1)
    for at in range(len(leaked)):
        answer = await told(*leaked[:at], FERN, *leaked[at:], *END, streamed=streamed, tools=TOOLS)
        assert answer.made == [WATERED], at
