"""Wherever an answer is cut, a whole call has the arguments that the model wrote."""

import pytest

from proxy.dialects import Parser
from tests.dialects.renderers import WRITTEN
from tests.dialects.test_half_calls import FULL, MIX
from tests.parsing.cuts import events_of, seen


@pytest.mark.parametrize("name", WRITTEN)
def test_law_3_a_cut_never_changes_the_arguments_of_a_complete_call(name: str) -> None:
    """An answer that was not cut may be completed after a closed value: then the members so far are
    all of them.
    """
    text = WRITTEN[name].render([("mix", FULL)])
    for place in range(len(text)):
        for finish in ("stop", "length"):
            for call in seen(events_of(Parser(MIX), [text[:place]], finish)).calls:
                if call.whole:
                    members = list(FULL.items())[: len(call.arguments)]
                    assert finish == "stop" or len(members) == len(FULL), text[:place]
                    assert members, text[:place]
                    assert call.arguments == dict(members), text[:place]
