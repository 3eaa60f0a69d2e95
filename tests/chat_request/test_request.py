"""A question is read once; what cannot be asked is refused in words that name the place."""

import json
from typing import Any

import pytest

from proxy.chat_request.request import parse
from proxy.errors import BadRequest

MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f"}}


def _read(**fields: Any) -> Any:
    return parse(json.dumps({"messages": MESSAGES, **fields}).encode())


def test_what_we_know_of_a_bare_question() -> None:
    question = _read()
    assert (
        question.model,
        question.streamed,
        question.wants_usage,
        question.choices,
        question.tools,
    ) == (None, False, False, 1, ())
    assert question.body == {"messages": MESSAGES}
    assert question.size == len(json.dumps({"messages": MESSAGES}))


def test_what_we_know_of_a_full_one() -> None:
    question = _read(
        model="m",
        stream=True,
        stream_options={"include_usage": True},
        n=2,
        tools=[TOOL],
        parallel_tool_calls=False,
        tool_choice="auto",
    )
    assert (question.model, question.streamed, question.wants_usage, question.choices) == (
        "m",
        True,
        True,
        2,
    )
    assert question.tools == (TOOL,)
    assert question.single_call


def test_no_calls_are_wanted_with_tool_choice_none() -> None:
    assert _read(tools=[TOOL], tool_choice="none").tools == ()


def test_ids_that_the_conversation_has_already() -> None:
    history = [
        {},
        {"tool_calls": None},
        {"tool_calls": [{"id": "a"}, {"id": 5}, "x"]},
        {"tool_calls": [{"id": "b"}]},
    ]
    assert _read(messages=history).used_call_ids == {"a", "b"}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid JSON"),
        (b'{"messages": [}', "line 1, column 15"),
        (b"[]", "JSON object"),
        (b"{}", "`messages`"),
        (b'{"messages": "x"}', "`messages`"),
        (b'{"messages": [], "tools": {}}', "`tools`"),
        (b'{"messages": null}', "`messages`"),
        (b'{"messages": [{}, null]}', "`messages\\[1\\]` must be an object"),
        (b'{"messages": [], "tools": [{}, {}, "x"]}', "`tools\\[2\\]` must be an object"),
        (b'{"messages": [], "stream": "true"}', "`stream` must be true or false"),
        (b'{"messages": [], "stream_options": true}', "`stream_options`"),
        (b'{"messages": [], "parallel_tool_calls": 1}', "`parallel_tool_calls`"),
        (b'{"messages": [], "tool_choice": []}', "`tool_choice`"),
        (b'{"messages": [], "model": 5}', "`model`"),
        (
            b'{"messages": [], "model": "' + b"m" * 1025 + b'"}',
            "`model` must have at most 1,024 characters",
        ),
        (b'{"messages": [], "n": 0}', "`n`"),
        (b'{"messages": [], "n": true}', "`n`"),
        (b'{"messages": [], "a": "\xff"}', "not valid JSON"),
        (b'{"messages": [], "a": NaN}', "not valid JSON"),
        (b'{"messages": ' + b"[" * 100_000, "not valid JSON"),
        (b'{"messages": [], "deep": ' + b"[" * 128 + b"]" * 128 + b"}", "deeper than 128"),
        (
            b'{"messages": [], "deep": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
            "deeper than 128",
        ),
        (b'{"messages": [], "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not valid JSON"),
    ],
)
def test_what_cannot_be_asked(raw: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        parse(raw)


def test_half_an_emoji_of_a_client_that_cuts_long_results() -> None:
    question = parse(
        rb'{"messages": [{"role": "tool", "content": "cut \ud83d"}, {"content": '
        rb'"\ud83d\ude00 whole"}]}'
    )
    assert question.body["messages"] == [
        {"role": "tool", "content": "cut \ufffd"},
        {"content": "😀 whole"},
    ]


def test_what_is_deep_but_not_too_deep() -> None:
    assert (
        parse(b'{"messages": [], "deep": ' + b"[" * 126 + b"]" * 126 + b"}").body["messages"] == []
    )


@pytest.mark.parametrize(
    "name",
    ["tools", "model", "stream", "stream_options", "parallel_tool_calls", "tool_choice", "n"],
)
def test_null_is_the_same_as_absent(name: str) -> None:
    question = _read(**{name: None})
    assert (question.model, question.streamed, question.choices, question.tools) == (
        None,
        False,
        1,
        (),
    )
