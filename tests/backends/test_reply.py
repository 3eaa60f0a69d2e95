"""A chunk is read by its shape, whichever server sent it."""

from typing import Any

import pytest

from proxy.backends.reply import Reply
from proxy.stream.events import Beside, CallArguments, CallEnd, CallStart, Content, Failed, Finish, Logprobs, Progress, Reasoning, Usage


def _read(*chunks: dict[str, Any]) -> list[Any]:
    reply = Reply()
    return [said for chunk in chunks for said in reply.read(chunk)]


def _choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **fields}]}


@pytest.mark.parametrize(
    ("chunk", "events"),
    [
        (_choice(delta={"role": "assistant", "content": None}), []),
        (_choice(delta={"content": "a"}), [(0, Content("a"))]),
        (_choice(delta={"content": ""}), []),
        (_choice(delta={"content": [{"type": "text", "text": "a"}, "x", {"text": "b"}]}), [(0, Content("ab"))]),
        (_choice(delta={"reasoning_content": "r", "reasoning": "r"}), [(0, Reasoning("r"))]),
        (_choice(delta={"reasoning": "r"}), [(0, Reasoning("r"))]),
        (_choice(delta={"reasoning_content": None, "content": "a"}), [(0, Content("a"))]),
        (_choice(delta={"tool_calls": None, "function_call": None}), []),
        (_choice(delta={"tool_calls": "x"}), []),
        (_choice(delta={"tool_calls": [None]}), []),
        (_choice(delta=None, finish_reason="eos"), [(0, Finish("eos"))]),
        (_choice(delta={}, logprobs={"content": []}), [(0, Logprobs({"content": []}))]),
        ({"choices": [{"delta": {"content": "a"}}, None, {"delta": {"content": "c"}}]}, [(0, Content("a")), (2, Content("c"))]),
        ({"choices": [{"index": 3, "message": {"content": "a"}, "finish_reason": "stop"}]}, [(3, Content("a")), (3, Finish("stop"))]),
        ({"choices": None}, []),
        ({}, []),
        ({"error": {"message": "m"}, "choices": []}, [(0, Failed({"message": "m"}))]),
        ({"error": "text"}, [(0, Failed("text"))]),
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
        ({"content": "", "stop": True, "stop_type": "limit", "timings": None}, [(0, Finish("length")), (0, Usage(0, 0))]),
        ({"content": "", "stop": True, "stop_type": "word"}, [(0, Finish("stop")), (0, Usage(0, 0))]),
        ({"choices": [], "prompt_progress": {"total": 9, "processed": 4}}, [(0, Progress(4, 9))]),
        ({"choices": [], "prompt_progress": {"total": "x"}}, [(0, Progress(0, 0))]),
        ({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}, [(0, Usage(5, 2))]),
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
        ({"usage": {"prompt_tokens": 0, "prompt_tokens_details": None, "completion_tokens_details": {"x": 1}}}, [(0, Usage(0, 0))]),
        ({"usage": {"prompt_tokens": 5.0, "completion_tokens": 2.0}}, [(0, Usage(5, 2))]),
        ({"usage": {"seconds": 5}}, []),
        (_choice(delta={"content": "a"}, finish_reason=""), [(0, Content("a"))]),
        (_choice(delta={"content": None, "refusal": "no"}), [(0, Beside({"refusal": "no"}))]),
        (_choice(message={"content": "", "audio": {"id": "a"}, "annotations": []}), [(0, Beside({"audio": {"id": "a"}}))]),
        (
            _choice(delta={"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}, {"text": "a"}, "x"]}),
            [(0, Reasoning("r")), (0, Content("a"))],
        ),
        (_choice(delta={"reasoning_details": [{"text": "r"}, {"summary": "s"}, {"data": "x"}, 5]}), [(0, Reasoning("rs"))]),
        ({"object": "error", "message": "m", "code": 400}, [(0, Failed({"object": "error", "message": "m", "code": 400}))]),
        ({"usage": None}, []),
        ({"usage": {"prompt_tokens": 50}, "timings": {"cache_n": 20, "prompt_n": 30}}, [(0, Usage(50, 0, 20))]),
        ({"usage": {"prompt_tokens": 50}, "timings": {"prompt_n": 1}}, [(0, Usage(50, 0, 49))]),  # older builds of llama.cpp
        ({"usage": {"prompt_tokens": 50}, "timings": {"prompt_n": 60}}, [(0, Usage(50, 0))]),
        ({"usage": {"prompt_tokens": 50}, "timings": {}}, [(0, Usage(50, 0))]),
    ],
)
def test_every_shape(chunk: dict[str, Any], events: list[Any]) -> None:
    assert _read(chunk) == events


def test_calls_of_two_choices() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"tool_calls": [{"index": 0, "id": f"c{index}", "function": function}]}}]}

    events = _read(call(0, name="f", arguments='{"a"'), call(1, name="g", arguments="{}"), call(0, arguments=":1}"))
    events += [(1, "finish")]
    assert (0, CallStart(0, "c0", "f", "native")) in events
    assert (1, CallStart(0, "c1", "g", "native")) in events


@pytest.mark.parametrize(("said", "meant"), [("tool_calls", "length"), ("stop", "length"), ("length", "length")])
def test_a_call_that_is_not_whole_was_cut_whatever_is_said(said: str, meant: str) -> None:
    delta = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}]}
    assert _read(_choice(delta=delta), _choice(delta={}, finish_reason=said))[-2:] == [(0, CallEnd(0, whole=False)), (0, Finish(meant))]


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
