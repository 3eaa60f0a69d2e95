"""A backend may send as much at once as it likes: it is read in steps, and others have their
turn in between.
"""

import asyncio
import json
import re
import time
from typing import Any

import httpx
import pytest

from proxy.backends.error_mapping import map_error
from proxy.backends.native_calls import NativeCallReader
from proxy.backends.response_reader import ResponseReader
from proxy.chat_request.request import parse
from proxy.completion.answer_state import AnswerState, MemoryBudget
from proxy.completion.pipeline import ResponsePipeline
from proxy.completion.request_stats import RequestStats
from proxy.dialects import Parser
from proxy.protocols import sse
from proxy.protocols.openai_chat import ChunkHead, CompletionWriter, StreamWriter
from tests.backend import END, ROLE, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import Road, heard, of_chunks, payloads

LETTERS = 300_000
MOST = 64 * 1024  # bytes that one step of a few thousand letters may become


def native(number: int) -> dict[str, Any]:
    return {
        "index": number,
        "id": f"c{number}",
        "function": {"name": "water", "arguments": '{"plant":"a"}'},
    }


LARGE: dict[str, dict[str, Any]] = {
    "text": {"content": "a line of prose < that goes on\n" * (LETTERS // 31)},
    "thoughts": {"reasoning_content": "a line of thought < that goes on, " * (LETTERS // 34)},
    "a call in the text": {
        "content": "<tool_call>\n<function=write>\n<parameter=content>\n"
        + "if a < b: </x>\n" * (LETTERS // 15)
        + "</parameter>\n</function>\n</tool_call>"
    },
    "arguments": {
        "tool_calls": [
            {
                "index": 0,
                "id": "c",
                "function": {"name": "write", "arguments": '{"content":"' + "x" * LETTERS + '"}'},
            }
        ]
    },
    "calls": {"tool_calls": [native(number) for number in range(2_000)]},
}


def translation(writer: StreamWriter | CompletionWriter) -> ResponsePipeline:
    question = parse(json.dumps({"messages": [], "tools": TOOLS}).encode())
    return ResponsePipeline(
        ResponseReader(),
        map_error,
        writer,
        lambda: Parser(TOOLS),
        question,
        RequestStats("id", "POST", "/"),
        AnswerState(MemoryBudget()),
    )


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return sse.event(
        json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
    )


def in_steps(answer: ResponsePipeline, data: bytes) -> list[bytes]:
    steps = [answer.feed(data)]
    while answer.has_backlog:
        steps.append(answer.feed())
    return steps


@pytest.mark.parametrize("name", LARGE)
def test_what_comes_at_once_is_read_in_steps(name: str) -> None:
    answer = translation(StreamWriter(ChunkHead("id", 1, "m", wants_usage=False)))
    steps = in_steps(answer, event(LARGE[name]) + event({}, "stop") + b"data: [DONE]\n\n")
    assert len(steps) > 20
    assert max(map(len, steps)) < MOST
    *chunks, done = payloads(b"".join(steps) + answer.end())
    assert done == "[DONE]"
    said = of_chunks(chunks)
    assert said.content == LARGE[name].get("content", "") or said.calls
    assert said.reasoning == LARGE[name].get("reasoning_content", "")
    assert len(said.calls) == {"text": 0, "thoughts": 0, "calls": 2_000}.get(name, 1)


@pytest.mark.parametrize("name", LARGE)
def test_an_end_reads_what_is_left(name: str) -> None:
    """The same answer, as a client gets it that does not stream."""
    sent = event(LARGE[name]) + event({}, "stop")
    bodies: list[bytes] = []
    for feed in (in_steps, lambda answer, data: [answer.feed(data)]):
        answer = translation(CompletionWriter(ChunkHead("id", 1, "m", wants_usage=False)))
        feed(answer, sent)
        bodies.append(re.sub(rb'"call_\w+"|"created":\d+', b"", answer.end()))
    assert bodies[0] == bodies[1]


async def test_others_have_their_turn_meanwhile() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    said = LARGE["text"]["content"]
    call = await Road(stream(ROLE, *text(said), *END)).ask()
    waiting.cancel()
    assert heard(call).content == said
    assert turns > LETTERS // 8_192


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_large_answer_that_is_no_stream(streamed: bool) -> None:
    said = LARGE["text"]["content"]
    body = {"choices": [{"index": 0, "message": {"content": said}, "finish_reason": "stop"}]}
    call = await Road(httpx.Response(200, json=body)).ask(streamed=streamed)
    assert heard(call).content == said


def seconds(calls: int) -> float:
    reading = NativeCallReader()
    before = time.process_time()
    for number in range(calls):
        reading.feed(native(number))
    reading.end("stop")
    return time.process_time() - before


def test_the_time_for_each_call_does_not_grow_with_their_number() -> None:
    """Sixteen times as many may take 64 times the time, where a square would take 256.

    What is too fast to measure is fast enough.
    """
    assert any(
        taken < 0.05 or taken < 64 * min(seconds(500) for _ in range(3))
        for taken in (seconds(8_000) for _ in range(3))
    )
