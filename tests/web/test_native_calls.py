"""Tool calls that the backend has parsed, complete and incomplete, and what the client receives."""

import json
from typing import Any

import pytest

from tests.backend import DONE, END, USAGE, Piece, chunk, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, Road, failed, native, refused, told

CALL = [native(0, "", id="c1", name="list_drones"), native(0, '{"a":'), native(0, " 1}")]


@BOTH
@pytest.mark.parametrize("finish", ["length", "stop", "tool_calls", "content_filter"])
async def test_a_whole_call_is_whole_and_half_a_call_behind_it_is_left_out_unclosed(
    streamed: bool, finish: str
) -> None:
    half = native(1, '{"path": "a', id="c2", name="write")
    answer = await told(*CALL, half, chunk(finish=finish), DONE, streamed=streamed, tools=TOOLS)
    assert answer.finish == "tool_calls"
    assert [call.arguments for call in answer.calls] == [
        '{"a": 1}',
        *(['{"path": "a'] if streamed else []),
    ]


@BOTH
@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_a_call_that_was_complete_when_the_answer_was_cut_is_run(
    streamed: bool, finish: str
) -> None:
    answer = await told(*CALL, chunk(finish=finish), streamed=streamed, tools=TOOLS)
    assert (answer.finish, [call.arguments for call in answer.calls]) == (
        "tool_calls",
        ['{"a": 1}'],
    )


@BOTH
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "length"),
        ("tool_calls", "length"),
        ("eos", "length"),
        ("length", "length"),
        ("content_filter", "content_filter"),
    ],
)
@pytest.mark.parametrize(
    "half",
    [
        [native(0, '{"path": "a', id="c2", name="write")],
        text('<tool_call>\n{"name": "write", "arguments": {"path": "a'),
    ],
    ids=["native", "leaked"],
)
async def test_an_answer_of_one_partial_call_ends_with_length(
    streamed: bool, half: list[Piece], theirs: str, ours: str
) -> None:
    """A stop sequence inside a tool call must not make the incomplete call look finished."""
    answer = await told(*half, chunk(finish=theirs), DONE, streamed=streamed, tools=TOOLS)
    assert (answer.content, answer.finish) == ("", ours)
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(answer.calls[0].arguments)


@BOTH
@pytest.mark.parametrize(
    "arguments",
    [
        '{"litres":"2","plant":"5","days":["1"]}',
        json.dumps('{"litres":"2","plant":"5","days":["1"]}'),
        {"litres": "2", "plant": "5", "days": '["1"]'},
    ],
    ids=["text", "twice", "object"],
)
async def test_native_strings_are_converted_where_the_schema_excludes_strings(
    streamed: bool, arguments: Any
) -> None:
    call = chunk(
        {
            "tool_calls": [
                {"index": 0, "id": "c", "function": {"name": "water", "arguments": arguments}}
            ]
        },
        finish="tool_calls",
    )
    answer = await told(call, DONE, streamed=streamed, tools=TOOLS)
    assert [call.arguments for call in answer.calls] == ['{"litres":2,"plant":"5","days":["1"]}']


@BOTH
async def test_a_call_without_a_name_is_reported(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    nameless = chunk({"tool_calls": [{"index": 1, "id": "c", "function": {"arguments": "{}"}}]})
    call = await Road(stream(*text("a"), nameless, *END)).ask(streamed=streamed, tools=TOOLS)
    error = failed(call)[1] if streamed else refused(call)[1]
    assert (error["type"], error["message"]) == (
        "server_error",
        "the backend sent a tool call without a name",
    )
    answer = await told(*CALL, nameless, *END, streamed=streamed, tools=TOOLS)
    assert ([call.name for call in answer.calls], answer.finish) == (["list_drones"], "tool_calls")
    assert all("without a name" in line.getMessage() for line in caplog.records)


@BOTH
async def test_a_whole_call_and_the_usage_need_no_finish(streamed: bool) -> None:
    answer = await told(*CALL, USAGE, DONE, streamed=streamed, tools=TOOLS)
    assert (answer.finish, [call.arguments for call in answer.calls]) == (
        "tool_calls",
        ['{"a": 1}'],
    )


@BOTH
@pytest.mark.parametrize(
    "said",
    [
        [*CALL, DONE],
        [*CALL, USAGE],
        [USAGE, *CALL, DONE],
        [*CALL[:-1], USAGE, DONE],
        [*text("a"), USAGE, DONE],
        [*CALL, chunk(usage={"prompt_tokens": 2, "completion_tokens": 1}), DONE],
    ],
    ids=["no usage", "no end", "usage before", "half a call", "no call", "usage beside a choice"],
)
async def test_without_a_finish_less_is_not_enough(streamed: bool, said: list[Piece]) -> None:
    call = await Road(stream(*said)).ask(streamed=streamed, tools=TOOLS)
    if streamed:
        failed(call)
    else:
        assert refused(call)[0] == 502
