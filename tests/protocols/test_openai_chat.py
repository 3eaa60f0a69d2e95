"""What a client of OpenAI's chat completions reads, streamed and whole."""

import json
from typing import Any

from proxy.parsing.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    Logprobs,
    Passthrough,
    Reasoning,
    TextEvent,
    Usage,
)
from proxy.protocols.openai_chat import ChunkHead, CompletionWriter, StreamWriter

HEAD = ChunkHead("chatcmpl-a", 5, "m", wants_usage=True)
CALL: list[TextEvent] = [
    CallStart(0, "call_a", "f"),
    CallArguments(0, '{"a":'),
    CallArguments(0, "1}"),
    CallEnd(0, whole=True),
]
ANSWER: list[TextEvent | Logprobs] = [
    Reasoning("hm"),
    Content("é"),
    Logprobs({"content": [1]}),
    Logprobs({"content": [2]}),
    *CALL,
]


def _said(
    writer: StreamWriter | CompletionWriter,
    events: list[TextEvent | Logprobs],
    finish: str = "stop",
    choice: int = 0,
) -> None:
    for event in events:
        writer.write(choice, event)
    writer.finish(choice, finish)


def _chunks(data: bytes) -> list[Any]:
    lines = data.decode().split("\n\n")
    assert lines.pop() == ""
    return [
        line if line == "data: [DONE]" else json.loads(line.removeprefix("data: "))
        for line in lines
    ]


def test_a_stream() -> None:
    stream = StreamWriter(HEAD)
    _said(stream, ANSWER, "tool_calls")
    stream.end(Usage(10, 5, 3, 2))
    *chunks, usage, done = _chunks(stream.take())
    assert stream.take() == b""
    assert done == "data: [DONE]"
    for chunk in [*chunks, usage]:
        assert (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) == (
            "chatcmpl-a",
            "chat.completion.chunk",
            5,
            "m",
        )
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "é"},
        {},
        {},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_a",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 8 + ["tool_calls"]
    assert [choice["logprobs"] for choice in choices if "logprobs" in choice] == [
        {"content": [1]},
        {"content": [2]},
    ]
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_usage_only_for_those_who_asked() -> None:
    stream = StreamWriter(ChunkHead("i", 1, "m", wants_usage=False))
    stream.finish(0, "stop")
    stream.end(Usage(1, 1))
    assert len(_chunks(stream.take())) == 3  # role, finish, [DONE]


def test_an_empty_answer_still_has_a_role_and_a_finish() -> None:
    stream = StreamWriter(HEAD)
    stream.finish(1, "length")
    first, last = _chunks(stream.take())
    assert first["choices"][0] == {
        "index": 1,
        "delta": {"role": "assistant", "content": ""},
        "finish_reason": None,
    }
    assert last["choices"][0] == {"index": 1, "delta": {}, "finish_reason": "length"}


def test_a_failure_ends_a_stream_without_finish() -> None:
    stream = StreamWriter(HEAD)
    stream.write(0, Content("half"))
    stream.drop_open_calls(0)
    stream.write_error({"error": {"message": "m"}})
    assert _chunks(stream.take())[-1] == {"error": {"message": "m"}}


def test_the_whole() -> None:
    whole = CompletionWriter(HEAD)
    _said(whole, ANSWER, "tool_calls", choice=1)
    _said(whole, [Content("plain")])
    assert whole.take() == b""
    whole.end(Usage(10, 5))
    body = json.loads(whole.take())
    assert (body["id"], body["object"], body["created"], body["model"]) == (
        "chatcmpl-a",
        "chat.completion",
        5,
        "m",
    )
    plain, called = body["choices"]
    assert plain == {
        "index": 0,
        "message": {"role": "assistant", "content": "plain", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert called == {
        "index": 1,
        "message": {
            "role": "assistant",
            "content": "é",
            "refusal": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {
                    "id": "call_a",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                }
            ],
        },
        "logprobs": {"content": [1, 2]},
        "finish_reason": "tool_calls",
    }
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}


def test_content_beside_nothing_but_calls_is_null() -> None:
    whole = CompletionWriter(HEAD)
    _said(whole, [*CALL], "tool_calls")
    whole.end(Usage(1, 1))
    assert json.loads(whole.take())["choices"][0]["message"]["content"] is None


def test_what_stands_beside_the_text() -> None:
    said = [
        Passthrough({"refusal": "I ca"}),
        Passthrough({"refusal": "n’t", "annotations": [1], "audio": {"id": "a", "data": "x"}}),
    ]
    said.append(Passthrough({"annotations": [2], "audio": {"data": "y", "expires_at": 5}}))
    stream, whole = StreamWriter(HEAD), CompletionWriter(HEAD)
    for event in said:
        stream.write(0, event)
        whole.write(0, event)
    assert [chunk["choices"][0]["delta"] for chunk in _chunks(stream.take())][1:] == [
        event.value for event in said
    ]
    whole.end(Usage(1, 1))
    message = json.loads(whole.take())["choices"][0]["message"]
    audio = {"id": "a", "data": "xy", "expires_at": 5}
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": "I can’t",
        "annotations": [1, 2],
        "audio": audio,
    }


def test_half_a_call_is_left_out_of_a_whole_that_broke_off() -> None:
    whole = CompletionWriter(HEAD)
    _said(
        whole,
        [
            *CALL,
            CallStart(1, "call_b", "g"),
            CallArguments(1, '{"a'),
            CallEnd(1, whole=False),
            Logprobs({"refusal": None}),
        ],
    )
    whole.drop_open_calls(0)
    whole.drop_open_calls(7)
    whole.finish(0, "tool_calls")
    whole.end(Usage(1, 1))
    assert [
        call["id"] for call in json.loads(whole.take())["choices"][0]["message"]["tool_calls"]
    ] == ["call_a"]
