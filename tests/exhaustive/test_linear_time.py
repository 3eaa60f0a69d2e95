"""A long answer that a model gives twice is compared in linear time."""

import json
import time

from proxy.completion.resume import ResumeFilter
from proxy.parsing.event_buffer import merged
from tests.completion.one_choice import Told


def test_law_5_a_long_answer_in_single_letters_takes_linear_time() -> None:
    def seconds(length: int) -> float:
        known, began = ResumeFilter("x" * length), time.process_time()
        for _ in range(length):
            known.unsent("x")
        assert not known.has_unmatched
        return time.process_time() - began

    seconds(1000)
    assert min(seconds(400_000) for _ in range(3)) < 20 * min(seconds(40_000) for _ in range(3))


def test_law_5_a_long_argument_that_arrives_twice_takes_linear_time() -> None:
    def seconds(length: int) -> float:
        call = json.dumps({"name": "write", "arguments": {"path": "x" * length}})
        told, began = Told().text("<tool_call>\n" + call[:-3]), time.process_time()
        told.again().text(f"<tool_call>\n{call}\n</tool_call>", 1).ends()
        took = time.process_time() - began
        assert len(merged(told.events)) >= 3
        assert json.loads(told.calls[0][1]) == {"path": "x" * length}
        return took

    seconds(1000)
    assert min(seconds(40_000) for _ in range(2)) < 25 * min(seconds(4_000) for _ in range(3))
