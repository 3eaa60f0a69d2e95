"""Whatever a server hands over, in whatever order: a client gets a clean answer, or one error of
ours.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.backends.error_mapping import map_error
from proxy.backends.response_reader import ResponseReader
from proxy.chat_request.request import parse
from proxy.completion.answer_state import AnswerState, MemoryBudget
from proxy.completion.pipeline import ResponsePipeline
from proxy.completion.request_stats import RequestStats
from proxy.dialects import Parser
from proxy.errors import BridgeError
from proxy.protocols import sse
from proxy.protocols.openai_chat import ChunkHead, CompletionWriter, StreamWriter
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import of_chunks, payloads

INDEXES = st.sampled_from([0, 1, None, "0", -1, True, 7])
ARGUMENTS = [
    "",
    "{",
    '"a"',
    ":1",
    "}",
    "{}",
    '{"a":1}',
    "null",
    " ",
    "x",
    '"{}"',
    {},
    {"a": 1},
    [1],
    None,
    5,
]
ODD = st.sampled_from([None, "", "x", 5, [], {}, [None], [5], {"a": 1}, True, 1.5])


def rarely_odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, ODD)


def fields(**usual: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {}, optional={name: rarely_odd(value) for name, value in usual.items()}
    )


FUNCTION = fields(
    name=st.sampled_from(["bash", "ba", "sh", ""]), arguments=st.sampled_from(ARGUMENTS)
)
CALL = st.one_of(
    fields(
        index=INDEXES,
        id=st.sampled_from(["a", "b", ""]),
        type=st.just("function"),
        function=FUNCTION,
    ),
    FUNCTION,
)
PARTS = st.lists(
    fields(
        type=st.sampled_from(["text", "thinking"]),
        text=st.just("t"),
        thinking=st.just([{"text": "r"}]),
    ),
    max_size=2,
)
DELTA = fields(
    role=st.just("assistant"),
    content=st.one_of(
        st.sampled_from(
            ["a", "<tool_call>", "<think>", '{"name": "bash", "arguments": {}}', "</tool_call>"]
        ),
        PARTS,
    ),
    reasoning_content=st.just("r"),
    reasoning=st.just("r"),
    refusal=st.just("no"),
    annotations=st.just([1]),
    audio=st.sampled_from([{"id": "a", "data": "x"}, {"data": "y"}, {"id": 5}]),
    tool_calls=st.lists(rarely_odd(CALL), max_size=3),
    function_call=FUNCTION,
)
CHOICE = fields(
    index=st.sampled_from([0, 0, 0, 1, None, "0"]),
    delta=DELTA,
    message=DELTA,
    finish_reason=st.sampled_from(["stop", "tool_calls", "length", "", "eos", None]),
    logprobs=st.sampled_from([{"content": [1]}, {"content": None}]),
    usage=st.just({"prompt_tokens": 1}),
)
CHUNK = fields(
    choices=st.lists(rarely_odd(CHOICE), max_size=2),
    usage=fields(
        prompt_tokens=st.just(5),
        completion_tokens=st.just(2.0),
        prompt_tokens_details=st.just({"cached_tokens": 1}),
    ),
    prompt_progress=st.just({"processed": 1, "total": 2}),
    model=st.just("m"),
)


def saying(call: Any, finish: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": finish}]}


NATIVE = st.builds(
    saying, CALL, st.sampled_from([None, None, None, "", "stop", "tool_calls", "length"])
)
QUESTION = {"messages": [], "tools": TOOLS}


def translation(writer: type[StreamWriter | CompletionWriter], **more: Any) -> ResponsePipeline:
    question = parse(json.dumps(QUESTION | more).encode())
    head = ChunkHead("id", 1, "m", wants_usage=True)
    return ResponsePipeline(
        ResponseReader(),
        map_error,
        writer(head),
        lambda: Parser(TOOLS),
        question,
        RequestStats("id", "POST", "/"),
        AnswerState(MemoryBudget()),
    )


@settings(max_examples=400, deadline=None)
@given(
    chunks=st.one_of(st.lists(CHUNK, max_size=8), st.lists(NATIVE, max_size=8)), one=st.booleans()
)
def test_no_chunk_breaks_the_application(chunks: list[Any], one: bool) -> None:
    wire = b"".join(sse.event(json.dumps(chunk).encode()) for chunk in chunks)
    for writer in (StreamWriter, CompletionWriter):
        answer = translation(writer, parallel_tool_calls=not one)
        sent = b""
        try:
            sent += answer.feed(wire)
            sent += answer.end()
        except BridgeError as error:
            try:
                sent += answer.abort(error)
            except BridgeError:
                continue  # told by its status
        if writer is CompletionWriter:
            json.loads(sent)
        elif (said := payloads(sent))[-1] == "[DONE]":
            for index in {choice["index"] for chunk in said[:-1] for choice in chunk["choices"]}:
                of_chunks(said[:-1], index)
        else:
            assert set(said[-1]) == {"error"}
