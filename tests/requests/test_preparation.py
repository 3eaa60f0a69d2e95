"""What the backend is asked: the client's body, and as little else as it needs."""

import json
from typing import Any

import pytest

from proxy.requests.preparation import Needs, prepare
from proxy.requests.question import read

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")] + [{"type": "odd"}]
LLAMA = Needs(progress=True, named_tool=False, logprobs_beside_tools=False)


def _prepared(needs: Needs = Needs(), model: str | None = None, **fields: Any) -> Any:  # noqa: B008 - frozen
    return json.loads(prepare(read(json.dumps({"messages": [], **fields}).encode()), needs, model))


def test_always_streamed_with_usage() -> None:
    assert _prepared() == {"messages": [], "stream": True, "stream_options": {"include_usage": True}}
    assert _prepared(stream=False, stream_options={"x": 1})["stream_options"] == {"x": 1, "include_usage": True}


def test_unknown_fields_pass_and_the_client_s_own_body_is_not_changed() -> None:
    question = read(b'{"messages": [], "my_sampler": {"deep": [1]}, "seed": 18446744073709551615}')
    assert json.loads(prepare(question, Needs(), "m")) == {
        "messages": [],
        "my_sampler": {"deep": [1]},
        "seed": 18446744073709551615,
        "stream": True,
        "stream_options": {"include_usage": True},
        "model": "m",
    }
    assert set(question.body) == {"messages", "my_sampler", "seed"}


def test_a_backend_that_does_not_know_stream_options() -> None:
    assert "stream_options" not in _prepared(Needs(stream_options=False))


def test_llama_cpp_is_asked_for_its_progress() -> None:
    assert _prepared(LLAMA)["return_progress"] is True


@pytest.mark.parametrize("choice", [{"type": "function", "function": {"name": "g"}}, {"type": "function", "name": "g"}])
def test_a_named_tool_is_the_only_one_offered(choice: dict[str, Any]) -> None:
    body = _prepared(LLAMA, tools=TOOLS, tool_choice=choice)
    assert body["tools"] == [TOOLS[1]]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "unknown"}}, {"type": "x"}])
def test_any_other_choice_passes(choice: Any) -> None:
    body = _prepared(LLAMA, tools=TOOLS, tool_choice=choice)
    assert (body["tools"], body["tool_choice"]) == (TOOLS, choice)


def test_a_tool_without_a_function() -> None:
    assert _prepared(LLAMA, tools=[{"type": "x"}], tool_choice={"function": {"name": "f"}})["tools"] == [{"type": "x"}]
    assert _prepared(LLAMA, tool_choice={"function": {"name": "f"}})["tool_choice"] == {"function": {"name": "f"}}


def test_logprobs_beside_tools_are_not_streamed_by_llama_cpp() -> None:
    body = _prepared(LLAMA, tools=TOOLS, logprobs=True)
    assert body["stream"] is False
    assert "stream_options" not in body
    assert _prepared(LLAMA, tools=TOOLS, logprobs=True, stream=True)["stream"] is True
    assert _prepared(LLAMA, logprobs=True)["stream"] is True
    assert _prepared(tools=TOOLS, logprobs=True)["stream"] is True
