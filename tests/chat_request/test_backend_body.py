"""What the backend is asked: the client's body, and as little else as it needs."""

import json
from typing import Any

import orjson
import pytest

from proxy.chat_request.backend_body import Capabilities, build_body, ignored_by, output_limit
from proxy.chat_request.request import parse

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")] + [
    {"type": "odd"}
]
LLAMA = Capabilities(progress=True, tool_choice="words", logprobs_beside_tools=False)


# What it has by default is frozen.
def _prepared(needs: Capabilities = Capabilities(), model: str | None = None, **fields: Any) -> Any:  # noqa: B008
    return json.loads(
        build_body(parse(json.dumps({"messages": [], **fields}).encode()), needs, model)
    )


def test_always_streamed_with_usage() -> None:
    assert _prepared() == {
        "messages": [],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert _prepared(stream=False, stream_options={"x": 1})["stream_options"] == {
        "x": 1,
        "include_usage": True,
    }


def test_unknown_fields_pass_and_the_client_s_own_body_is_not_changed() -> None:
    question = parse(b'{"messages": [], "my_sampler": {"deep": [1]}, "seed": 18446744073709551615}')
    assert json.loads(build_body(question, Capabilities(), "m")) == {
        "messages": [],
        "my_sampler": {"deep": [1]},
        "seed": 18446744073709551615,
        "stream": True,
        "stream_options": {"include_usage": True},
        "model": "m",
    }
    assert set(question.body) == {"messages", "my_sampler", "seed"}


def test_a_backend_that_does_not_know_stream_options() -> None:
    assert "stream_options" not in _prepared(Capabilities(stream_options=False))


def test_llama_cpp_is_asked_for_its_progress() -> None:
    assert _prepared(LLAMA)["return_progress"] is True


@pytest.mark.parametrize(
    "choice", [{"type": "function", "function": {"name": "g"}}, {"type": "function", "name": "g"}]
)
def test_a_named_tool_is_the_only_one_offered(choice: dict[str, Any]) -> None:
    body = _prepared(LLAMA, tools=TOOLS, tool_choice=choice)
    assert body["tools"] == [TOOLS[1]]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("mode", "word"), [("auto", "auto"), ("required", "required"), (None, "auto")]
)
def test_tools_that_are_allowed_are_the_only_ones_offered(mode: str | None, word: str) -> None:
    allowed = {
        "mode": mode,
        "tools": [{"type": "function", "function": {"name": "g"}}, 5, {"type": "odd"}],
    }
    body = _prepared(
        LLAMA, tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}
    )
    assert (body["tools"], body["tool_choice"]) == ([TOOLS[1]], word)


def test_json_without_a_schema_gets_the_plainest() -> None:
    needs, json_object = Capabilities(json_object=False), {"type": "json_object"}
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "object", "schema": {"type": "object"}},
    }
    assert _prepared(needs, response_format=json_object)["response_format"] == schema
    assert _prepared(response_format=json_object)["response_format"] == json_object
    for other in ({"type": "text"}, None, "x"):
        assert _prepared(needs, response_format=other)["response_format"] == other


@pytest.mark.parametrize(
    "choice",
    [
        "auto",
        "required",
        {"type": "x"},
        {"type": "allowed_tools", "allowed_tools": {"tools": "x"}},
    ],
)
def test_any_other_choice_passes(choice: Any) -> None:
    body = _prepared(LLAMA, tools=TOOLS, tool_choice=choice)
    assert (body["tools"], body["tool_choice"]) == (TOOLS, choice)


def test_logprobs_beside_tools_are_not_streamed_by_llama_cpp() -> None:
    body = _prepared(LLAMA, tools=TOOLS, logprobs=True)
    assert body["stream"] is False
    assert "stream_options" not in body
    assert _prepared(LLAMA, tools=TOOLS, logprobs=True, stream=True)["stream"] is True
    assert _prepared(LLAMA, logprobs=True)["stream"] is True
    assert _prepared(tools=TOOLS, logprobs=True)["stream"] is True


def test_where_no_choice_is_read_only_what_may_be_chosen_is_offered() -> None:
    unread_choice = Capabilities(tool_choice="unread")
    assert "tools" not in _prepared(unread_choice, tools=TOOLS, tool_choice="none")
    assert _prepared(unread_choice, tools=TOOLS, tool_choice={"function": {"name": "f"}})[
        "tools"
    ] == [TOOLS[0]]
    assert _prepared(unread_choice, tools=TOOLS, tool_choice="required")["tools"] == TOOLS
    assert _prepared(tools=TOOLS, tool_choice="none")["tools"] == TOOLS


@pytest.mark.parametrize(
    ("given", "asked"),
    [({"tool_choice": "auto"}, "none"), ({}, "none"), ({"tool_choice": "required"}, "required")],
)
def test_where_the_choice_may_not_be_left_to_the_model(given: dict[str, Any], asked: str) -> None:
    needs = Capabilities(auto_tool_choice=False)
    assert _prepared(needs, tools=TOOLS, **given)["tool_choice"] == asked
    assert "tool_choice" not in _prepared(needs)


def test_the_limit_under_the_name_that_all_know() -> None:
    needs = Capabilities(max_completion_tokens=False)
    assert "max_completion_tokens" not in _prepared(needs, max_completion_tokens=5)
    assert _prepared(needs, max_completion_tokens=5)["max_tokens"] == 5
    assert _prepared(needs, max_completion_tokens=5, max_tokens=3)["max_tokens"] == 3
    assert "max_tokens" not in _prepared(needs)
    assert _prepared(max_completion_tokens=5)["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ({}, None),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 0}, 0),
        ({"max_completion_tokens": 100, "n": 3}, 300),
        ({"max_tokens": None, "n_predict": 5}, 5),
        ({"max_tokens": 100, "max_completion_tokens": 200}, 200),  # one of them holds
        ({"max_tokens": -1}, None),
        ({"n_predict": -1, "max_tokens": 7}, 7),
        ({"n_predict": True}, None),
        ({"n_predict": 1.5}, None),
    ],
)
def test_the_most_that_an_answer_may_have(said: dict[str, Any], limit: int | None) -> None:
    assert output_limit(parse(orjson.dumps({"messages": []} | said))) == limit


def test_defaults_that_do_harm_give_way_to_the_client_s_word() -> None:
    needs = Capabilities(defaults=(("repeat_penalty", 1.0),))
    assert (
        _prepared(needs)["repeat_penalty"],
        _prepared(needs, repeat_penalty=1.2)["repeat_penalty"],
    ) == (1.0, 1.2)


def test_what_is_asked_for_in_vain() -> None:
    question = parse(b'{"messages": [], "tool_choice": "auto", "top_k": 5, "n": null, "seed": 1}')
    assert ignored_by(
        question, Capabilities(ignored_fields=frozenset({"tool_choice", "top_k", "n"}))
    ) == ["top_k"]
    assert ignored_by(question, Capabilities()) == []


@pytest.mark.parametrize("none", [[], None])
def test_no_tools_and_a_choice_among_them_are_nothing(none: Any) -> None:
    bare = _prepared()
    assert _prepared(tools=none, tool_choice="none", parallel_tool_calls=False) == bare
    assert (
        _prepared(tools=none, tool_choice="auto")
        == _prepared(tool_choice=None)
        == _prepared(tool_choice="none")
        == bare
    )
    # The backend says what is wrong with it.
    assert _prepared(tools=none, tool_choice="required")["tool_choice"] == "required"


def test_what_a_backend_refuses_is_left_out() -> None:
    tools = [{"type": "function", "function": {"name": "f", "strict": False}}, {"type": "odd"}]
    kept = _prepared(tools=tools, store=False, strict=True)
    assert (kept["tools"], kept["store"]) == (tools, False)
    left = _prepared(
        Capabilities(dropped_fields=frozenset({"store", "strict"})), tools=tools, store=False
    )
    assert left["tools"] == [{"type": "function", "function": {"name": "f"}}, {"type": "odd"}]
    assert "store" not in left
    assert (
        _prepared(Capabilities(dropped_fields=frozenset({"store"})), tools=tools)["tools"] == tools
    )


LAST = {"role": "assistant", "content": "No more steps."}


@pytest.mark.parametrize(
    ("messages", "more", "last"),
    [
        ([LAST], {"tool_choice": "none"}, {"role": "user", "content": "No more steps."}),
        (
            [{"role": "assistant", "content": None}],
            {"tool_choice": "none"},
            {"role": "user", "content": ""},
        ),
        ([LAST], {}, LAST),
        ([LAST | {"tool_calls": [{}]}], {"tool_choice": "none"}, LAST | {"tool_calls": [{}]}),
        (
            [{"role": "user", "content": "x"}],
            {"tool_choice": "none"},
            {"role": "user", "content": "x"},
        ),
    ],
)
def test_a_last_word_that_is_no_beginning_of_the_answer(
    messages: Any, more: dict[str, Any], last: Any
) -> None:
    assert _prepared(Capabilities(prefill=False), messages=messages, **more)["messages"] == [last]
    assert _prepared(messages=[LAST], **more)["messages"] == [LAST]


def test_nothing_to_end_with() -> None:
    assert _prepared(Capabilities(prefill=False), tool_choice="none")["messages"] == []


def test_a_sound_that_shall_come_whole_is_not_streamed() -> None:
    assert _prepared(modalities=["text", "audio"])["stream"] is False
    assert "stream_options" not in _prepared(modalities=["audio"])
    assert _prepared(modalities=["text", "audio"], stream=True)["stream"] is True
    assert _prepared(modalities=["text"])["stream"] is True
    assert _prepared(modalities=None)["stream"] is True
