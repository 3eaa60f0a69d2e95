"""Wherever an answer is cut, a whole call has the arguments that the model wrote."""

import pytest

from proxy.dialects import Parser
from tests.dialects.renderers import WRITTEN
from tests.dialects.test_half_calls import FULL, MIX
from tests.parsing.cuts import events_of, seen


@pytest.mark.parametrize("name", WRITTEN)
def test_wherever_it_is_cut_no_call_has_other_arguments(name: str) -> None:
    """Law 3.

    An answer that ended by itself may be completed behind a value that closed: then the members so
    far are all of them.
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
