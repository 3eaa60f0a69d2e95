"""The same recorded answers when our own child dies under each of them: what it meant is what
the client gets, once.
"""

import random
from typing import Any

import httpx
import pytest

from proxy.backends.provider import FixedProvider
from tests.backend import Piece, chunk, event, models, stream
from tests.completion.recovery import llama
from tests.corpus.score import problems
from tests.exhaustive.test_corpus import CASES, DOUBTFUL
from tests.exhaustive.test_through_the_proxy import seen
from tests.web.round_trip import MODELS, heard

DEATHS = 2  # places in each text: one for a streamed answer, one for a whole one


@pytest.fixture(autouse=True)
def lives(monkeypatch: pytest.MonkeyPatch) -> None:
    async def next_life(_place: FixedProvider) -> bool:
        return True

    monkeypatch.setattr(FixedProvider, "wait_for_restart", next_life)


def said(text: str, *end: Piece) -> httpx.Response:
    pieces = [chunk({"content": text[at : at + 5]}) for at in range(0, len(text), 5)]
    return stream(chunk({"role": "assistant", "content": None}), *pieces, *end)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_cut_by_a_restart_at_any_place(case: dict[str, Any]) -> None:
    hint, _ = DOUBTFUL.get(case["id"], (None, ""))
    text, chance = case["text"], random.Random(case["id"])
    end = [chunk(finish=case["finish_reason"]), event(b"[DONE]")]
    asked = {"tools": case["tools"]} | (
        {"tool_choice": case["tool_choice"]} if "tool_choice" in case else {}
    )
    for number in range(DEATHS):
        at = chance.randrange(len(text) + 1)
        lives = said(text[:at], httpx.ReadError("reset")), said(text[at:], *end)
        road = llama(*lives, THINKING=case["thinking"])
        road.script.on({MODELS: models(hint.model if hint else "m")})
        answer = seen(heard(await road.ask(streamed=number % 2 == 0, **asked)))
        if len(road.script.questions()) == 2:
            assert problems(case, answer) == [], at
        else:  # a whole call had left, and may be running: the answer ends there
            alone = seen(
                heard(await llama(said(text, *end), THINKING=case["thinking"]).ask(**asked))
            )
            whole = [call for call in answer.calls if call.whole]
            assert whole == list(alone.calls[: len(whole)])
            assert whole
