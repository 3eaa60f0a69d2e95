"""The same recorded answers through the whole proxy: a backend that streams them in pieces, a
client that reads strictly.
"""

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from tests.backend import chunk, event, models, stream
from tests.corpus.score import problems
from tests.exhaustive.test_corpus import CASES, DOUBTFUL
from tests.parsing.cuts import Call, Seen
from tests.web.round_trip import MODELS, Heard, Road, heard

USAGE = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})


def cut(case: dict[str, Any]) -> list[str]:
    text, chance = case["text"], random.Random(case["id"])
    places = sorted(
        {0, len(text), *(chance.randrange(len(text) + 1) for _ in range(1 + len(text) // 6))}
    )
    return [text[start:end] for start, end in pairwise(places)]


def seen(answer: Heard) -> Seen:
    calls = []
    for call in answer.calls:
        try:
            calls.append(Call(call.name, json.loads(call.arguments)))
        except json.JSONDecodeError:
            calls.append(Call(call.name, call.arguments, whole=False))
    return Seen(answer.content, tuple(calls), answer.reasoning)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_through_the_proxy(case: dict[str, Any]) -> None:
    hint, _ = DOUBTFUL.get(case["id"], (None, ""))
    pieces = [
        chunk({"role": "assistant", "content": None}),
        *(chunk({"content": piece}) for piece in cut(case)),
    ]
    said = [*pieces, chunk(finish=case["finish_reason"]), USAGE, event(b"[DONE]")]
    asked = {"tools": case["tools"]} | (
        {"tool_choice": case["tool_choice"]} if "tool_choice" in case else {}
    )
    answers = []
    for streamed in (True, False):
        road = Road(
            stream(*said),
            others={MODELS: models(hint.model if hint else "m")},
            THINKING=case["thinking"],
        )
        answers.append(heard(await road.ask(streamed=streamed, **asked)))
    assert problems(case, seen(answers[0])) == []
    assert seen(answers[0]) == seen(answers[1])
    calls = seen(answers[0]).calls
    cut_off = case["finish_reason"] == "length" or any(not call.whole for call in calls)
    finish = "tool_calls" if any(call.whole for call in calls) else "length" if cut_off else "stop"
    assert [answer.finish for answer in answers] == [finish] * 2
