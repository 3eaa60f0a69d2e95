"""A chunk is read by its shape, whichever server sent it."""

from typing import Any

import pytest

from proxy.backends.response_reader import ResponseReader
from proxy.parsing.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    ErrorEvent,
    Finish,
    Logprobs,
    Passthrough,
    Progress,
    Reasoning,
    Usage,
)


def _read(*chunks: dict[str, Any]) -> list[Any]:
    reply = ResponseReader()
    return [said for chunk in chunks for said in reply.read(chunk)]


def _choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **fields}]}


@pytest.mark.parametrize(
    ("chunk", "events"),
    [
        (_choice(delta={"role": "assistant", "content": None}), []),
        (_choice(delta={"content": "a"}), [(0, Content("a"))]),
        (_choice(delta={"content": ""}), []),
        (
            _choice(delta={"content": [{"type": "text", "text": "a"}, "x", {"text": "b"}]}),
            [(0, Content("ab"))],
        ),
        (_choice(delta={"reasoning_content": "r", "reasoning": "r"}), [(0, Reasoning("r"))]),
        (_choice(delta={"reasoning": "r"}), [(0, Reasoning("r"))]),
        (_choice(delta={"reasoning_content": None, "content": "a"}), [(0, Content("a"))]),
        (_choice(delta={"tool_calls": None, "function_call": None}), []),
        (_choice(delta={"tool_calls": "x"}), []),
        (_choice(delta={"tool_calls": [None]}), []),
        (_choice(delta=None, finish_reason="eos"), [(0, Finish("eos"))]),
        (_choice(delta={}, logprobs={"content": []}), [(0, Logprobs({"content": []}))]),
        (
            {"choices": [{"delta": {"content": "a"}}, None, {"delta": {"content": "c"}}]},
            [(0, Content("a")), (2, Content("c"))],
        ),
        (
            {"choices": [{"index": 3, "message": {"content": "a"}, "finish_reason": "stop"}]},
            [(3, Content("a")), (3, Finish("stop"))],
        ),
        ({"choices": None}, []),
        ({}, []),
        ({"error": {"message": "m"}, "choices": []}, [(0, ErrorEvent({"message": "m"}))]),
        ({"error": "text"}, [(0, ErrorEvent("text"))]),
        ({"content": "a", "stop": False}, [(0, Content("a"))]),
        ({"content": "", "stop": False}, []),
        ({"content": None}, []),
        ({"content": "a", "choices": []}, []),
        (
            {
                "content": "a",
                "stop": True,
                "stop_type": "eos",
                "tokens_evaluated": 9,
                "tokens_predicted": 4,
                "timings": {"cache_n": 2},
            },
            [(0, Content("a")), (0, Finish("stop")), (0, Usage(9, 4, 2))],
        ),
        (
            {"content": "", "stop": True, "stop_type": "limit", "timings": None},
            [(0, Finish("length")), (0, Usage(0, 0))],
        ),
        (
            {"content": "", "stop": True, "stop_type": "word"},
            [(0, Finish("stop")), (0, Usage(0, 0))],
        ),
        ({"choices": [], "prompt_progress": {"total": 9, "processed": 4}}, [(0, Progress(4, 9))]),
        ({"choices": [], "prompt_progress": {"total": "x"}}, [(0, Progress(0, 0))]),
        (
            {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            [(0, Usage(5, 2))],
        ),
        ({"usage": {"prompt_tokens": 5, "cached_tokens": 4}}, [(0, Usage(5, 0, 4))]),
        (
            {
                "usage": {
                    "prompt_tokens": 5,
                    "completion_tokens": 2,
                    "prompt_tokens_details": {"cached_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                }
            },
            [(0, Usage(5, 2, 1, 2))],
        ),
        (
            {
                "usage": {
                    "prompt_tokens": 0,
                    "prompt_tokens_details": None,
                    "completion_tokens_details": {"x": 1},
                }
            },
            [(0, Usage(0, 0))],
        ),
        ({"usage": {"prompt_tokens": 5.0, "completion_tokens": 2.0}}, [(0, Usage(5, 2))]),
        ({"usage": {"seconds": 5}}, []),
        (_choice(delta={"content": "a"}, finish_reason=""), [(0, Content("a"))]),
        (_choice(delta={"content": None, "refusal": "no"}), [(0, Passthrough({"refusal": "no"}))]),
        (
            _choice(message={"content": "", "audio": {"id": "a"}, "annotations": []}),
            [(0, Passthrough({"audio": {"id": "a"}}))],
        ),
        (
            _choice(
                delta={
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
                        {"text": "a"},
                        "x",
                    ]
                }
            ),
            [(0, Reasoning("r")), (0, Content("a"))],
        ),
        (
            _choice(
                delta={"reasoning_details": [{"text": "r"}, {"summary": "s"}, {"data": "x"}, 5]}
            ),
            [(0, Reasoning("rs"))],
        ),
        (
            {"object": "error", "message": "m", "code": 400},
            [(0, ErrorEvent({"object": "error", "message": "m", "code": 400}))],
        ),
        ({"usage": None}, []),
        (
            {"usage": {"prompt_tokens": 50}, "timings": {"cache_n": 20, "prompt_n": 30}},
            [(0, Usage(50, 0, 20))],
        ),
        # Older builds of llama.cpp.
        ({"usage": {"prompt_tokens": 50}, "timings": {"prompt_n": 1}}, [(0, Usage(50, 0, 49))]),
        ({"usage": {"prompt_tokens": 50}, "timings": {"prompt_n": 60}}, [(0, Usage(50, 0))]),
        ({"usage": {"prompt_tokens": 50}, "timings": {}}, [(0, Usage(50, 0))]),
    ],
)
def test_every_shape(chunk: dict[str, Any], events: list[Any]) -> None:
    assert _read(chunk) == events


def test_calls_of_two_choices() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        return {
            "choices": [
                {
                    "index": index,
                    "delta": {
                        "tool_calls": [{"index": 0, "id": f"c{index}", "function": function}]
                    },
                }
            ]
        }

    events = _read(
        call(0, name="f", arguments='{"a"'),
        call(1, name="g", arguments="{}"),
        call(0, arguments=":1}"),
    )
    events += [(1, "finish")]
    assert (0, CallStart(0, "c0", "f", "native")) in events
    assert (1, CallStart(0, "c1", "g", "native")) in events


@pytest.mark.parametrize(
    ("said", "meant"), [("tool_calls", "length"), ("stop", "length"), ("length", "length")]
)
def test_a_partial_call_ends_with_length_whatever_the_backend_reports(
    said: str, meant: str
) -> None:
    delta = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}]}
    assert _read(_choice(delta=delta), _choice(delta={}, finish_reason=said))[-2:] == [
        (0, CallEnd(0, whole=False)),
        (0, Finish(meant)),
    ]


def test_a_finish_ends_the_calls_of_its_choice() -> None:
    delta = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    events = [event for _, event in _read(_choice(delta=delta, finish_reason="tool_calls"))]
    assert events == [
        CallStart(0, "c", "f", "native"),
        CallArguments(0, "{"),
        CallArguments(0, "}"),
        CallEnd(0, whole=True),
        Finish("tool_calls"),
    ]


def _whole(
    *,
    where: str = "message",
    kind: str = "chat.completion",
    finish: str | None = "stop",
    **said: Any,
) -> dict[str, Any]:
    return {"object": kind, "choices": [{"index": 0, where: said, "finish_reason": finish}]}


def _chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return _whole(where="delta", kind="chat.completion.chunk", finish=finish, **delta)


CALL = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
CALLED = [(0, CallStart(0, "c", "f", "native")), (0, CallArguments(0, "{"))]
ENDED = [(0, CallArguments(0, "}")), (0, CallEnd(0, whole=True))]


@pytest.mark.parametrize("kind", ["chat.completion", "chat.completion.chunk", ""])
@pytest.mark.parametrize(
    "also",
    [{}, {"delta": {}}, {"delta": {"content": ""}}, {"delta": {"role": "assistant"}}],
    ids=str,
)
def test_a_message_behind_deltas_repeats_them(kind: str, also: dict[str, Any]) -> None:
    last = _whole(
        kind=kind,
        content="ab",
        reasoning_content="r",
        tool_calls=[CALL | {"id": "other"}],
        refusal="no",
    )
    last["choices"][0] |= also
    before = [
        _chunk(reasoning_content="r"),
        _chunk(content="a"),
        _chunk(content="b"),
        _chunk(refusal="no"),
        _chunk(tool_calls=[CALL]),
    ]
    events = [
        (0, Reasoning("r")),
        (0, Content("a")),
        (0, Content("b")),
        (0, Passthrough({"refusal": "no"})),
        *CALLED,
    ]
    assert _read(*before, last) == [*events, *ENDED, (0, Finish("stop"))]


def test_what_stood_in_no_delta_is_new() -> None:
    last = _whole(content="a", tool_calls=[CALL], annotations=[1])
    assert _read(_chunk(content="a"), last) == [
        (0, Content("a")),
        (0, Passthrough({"annotations": [1]})),
        *CALLED,
        *ENDED,
        (0, Finish("stop")),
    ]
    nothing = [_chunk(role="assistant", content=""), _whole(content="a")]
    assert _read(*nothing) == [(0, Content("a")), (0, Finish("stop"))]
    beside = _whole(content="ab")
    beside["choices"][0]["delta"] = {"content": "b"}
    assert _read(_chunk(content="a"), beside | {"object": "chat.completion.chunk"}) == [
        (0, Content("a")),
        (0, Content("b")),
        (0, Finish("stop")),
    ]


def test_a_whole_completion_after_chunks_is_a_repetition() -> None:
    last = _whole(where="delta", content="ab")
    assert _read(_chunk(content="a"), _chunk(content="b"), last) == [
        (0, Content("a")),
        (0, Content("b")),
        (0, Finish("stop")),
    ]


def test_logprobs_are_not_repeated_either() -> None:
    def with_logprobs(chunk: dict[str, Any], *tokens: int) -> dict[str, Any]:
        chunk["choices"][0]["logprobs"] = {"content": list(tokens)}
        return chunk

    first, last = with_logprobs(_chunk(content="a"), 1), with_logprobs(_whole(content="a"), 1)
    assert _read(first, last) == [
        (0, Content("a")),
        (0, Logprobs({"content": [1]})),
        (0, Finish("stop")),
    ]
    assert _read(_chunk(content="a"), last)[-2] == (0, Logprobs({"content": [1]}))


@pytest.mark.parametrize("where", ["delta", "message"])
@pytest.mark.parametrize("kind", ["chat.completion", "chat.completion.chunk"])
def test_pieces_under_other_names_are_pieces(where: str, kind: str) -> None:
    pieces = [_whole(where=where, kind=kind, finish=None, content=letter) for letter in "aab"]
    if where == "message":
        for piece in pieces:
            piece["choices"][0]["delta"] = {"role": "assistant"}
    assert _read(*pieces) == [(0, Content("a")), (0, Content("a")), (0, Content("b"))]


def test_a_completion_that_comes_at_once_is_the_answer() -> None:
    assert _read(_whole(content="a", tool_calls=[CALL])) == [
        (0, Content("a")),
        *CALLED,
        *ENDED,
        (0, Finish("stop")),
    ]


def test_a_call_without_a_name_is_an_error() -> None:
    *_, (index, failed) = _read(
        _chunk(content="a"),
        _chunk(tool_calls=[{"index": 0, "id": "c", "function": {"arguments": "{}"}}]),
        _chunk(finish="tool_calls"),
    )
    assert index == 0
    assert isinstance(failed, ErrorEvent)
    assert "without a name" in failed.body["message"]


USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


@pytest.mark.parametrize(
    ("chunks", "events"),
    [
        ([_chunk(tool_calls=[CALL]), USAGE], [*ENDED, (0, Finish("tool_calls"))]),
        (
            [_chunk(tool_calls=[CALL]), {"usage": USAGE["usage"]}],
            [*ENDED, (0, Finish("tool_calls"))],
        ),
        ([_chunk(tool_calls=[CALL])], []),
        ([USAGE, _chunk(tool_calls=[CALL])], []),
        ([_chunk(tool_calls=[CALL]) | USAGE | {"choices": [{"delta": {}}]}], []),
        ([_chunk(tool_calls=[CALL | {"function": {"name": "f", "arguments": "{"}}]), USAGE], []),
        ([_chunk(content="a"), USAGE], []),
    ],
)
def test_what_is_certain_without_a_finish(chunks: list[dict[str, Any]], events: list[Any]) -> None:
    reply = ResponseReader()
    for chunk in chunks:
        list(reply.read(chunk))
    assert list(reply.end()) == events


TOOL = {
    "type": "function",
    "function": {
        "name": "my-Tool",
        "parameters": {"properties": {"n": {"type": "integer"}, "s": {"type": "string"}}},
    },
}


@pytest.mark.parametrize(
    "tools", [(TOOL,), ("x", {"function": None}, {"function": {"name": 5}}, TOOL)]
)
@pytest.mark.parametrize("name", ["my-Tool", "my_tool"])
def test_arguments_are_converted_by_the_schema_of_their_tool(
    tools: tuple[Any, ...], name: str
) -> None:
    def arguments(reply: ResponseReader, text: str, name: str) -> str:
        call = {"index": 0, "id": "c", "function": {"name": name, "arguments": text}}
        said = list(reply.read(_chunk(tool_calls=[call], finish="tool_calls")))
        return "".join(event.text for _, event in said if isinstance(event, CallArguments))

    assert arguments(ResponseReader(tools), '{"n":"5","s":"5"}', name) == '{"n":5,"s":"5"}'
    assert arguments(ResponseReader(tools), '{"n":"5"}', "other") == '{"n":"5"}'
    assert arguments(ResponseReader(), '{"n":"5"}', name) == '{"n":"5"}'
