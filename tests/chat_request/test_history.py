"""Earlier messages: thoughts under the name that the backend knows, and nothing that only
another server can read.
"""

from typing import Any

import pytest

from proxy.chat_request.history import join_text_parts, join_user_messages, normalize


def _assistant(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", **fields}


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"reasoning_content": "r"}, {"reasoning_content": "r"}),
        ({"reasoning": "r"}, {"reasoning_content": "r"}),
        ({"reasoning_text": "r"}, {"reasoning_content": "r"}),
        ({"reasoning": "r", "reasoning_content": "c"}, {"reasoning_content": "c"}),
        ({"reasoning_content": ""}, {"reasoning_content": ""}),  # DeepSeek wants it, be it empty
        ({"reasoning": {"encrypted": "x"}}, {}),
        (
            {
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
                "reasoning_opaque": "x",
            },
            {},
        ),
        (
            {"tool_calls": [{"id": "a", "function": {}, "extra_content": {"google": {}}}, 5]},
            {"tool_calls": [{"id": "a", "function": {}}, 5]},
        ),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": "t"},
                    {"type": "text", "text": "x", "thought_signature": "s"},
                    "y",
                ]
            },
            {"content": [{"type": "text", "text": "x"}, "y"]},
        ),
    ],
)
def test_an_assistant_message(given: dict[str, Any], right: dict[str, Any]) -> None:
    assert normalize([_assistant(**given)], "reasoning_content") == [_assistant(**right)]


@pytest.mark.parametrize("content", [None, [], [{"type": "thinking", "thinking": "t"}]])
def test_an_answer_of_reasoning_alone_has_no_content(content: Any) -> None:
    """Ollama refuses a message whose content is null, unless there are calls in it."""
    given = {"role": "assistant", "content": content, "reasoning_content": "r"}
    assert normalize([given], "reasoning_content") == [given | {"content": ""}]
    called = given | {"content": None, "tool_calls": [{"id": "a"}]}
    assert normalize([called], "reasoning_content") == [called]


def test_a_developer_is_heard_by_all() -> None:
    given = {"role": "developer", "content": "Be brief.", "name": "x"}
    assert normalize([given], None) == [given | {"role": "system"}]
    assert given["role"] == "developer"


def test_under_another_name() -> None:
    assert normalize([_assistant(reasoning_content="r")], "reasoning") == [
        _assistant(reasoning="r")
    ]
    assert normalize([_assistant(reasoning_content="r")], None) == [_assistant()]


@pytest.mark.parametrize(
    "message",
    [{"role": "user", "content": "x", "signature": "mine", "reasoning": "mine"}, "odd", None],
)
def test_other_fields_are_not_touched(message: Any) -> None:
    assert normalize([message], "reasoning") == [message]


TEXT, IMAGE = {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}


@pytest.mark.parametrize(
    ("content", "right"),
    [
        ([TEXT, TEXT], "a\na"),
        ([], ""),
        ([TEXT, IMAGE], [TEXT, IMAGE]),
        ([TEXT, "x"], [TEXT, "x"]),
        ("a", "a"),
        (None, ""),
    ],
)
def test_text_in_parts_becomes_one_text(content: Any, right: Any) -> None:
    assert join_text_parts([{"role": "user", "content": content}, {}, 5]) == [
        {"role": "user", "content": right},
        {},
        5,
    ]


TEXT = {"type": "text", "text": "t"}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("messages", "joined"),
    [
        ([], []),
        ([user("a"), user("b"), user("c")], [user("a\n\nb\n\nc")]),
        ([user("a"), user([TEXT])], [user([{"type": "text", "text": "a"}, TEXT])]),
        ([user([TEXT]), user("b"), user("")], [user([TEXT, {"type": "text", "text": "b"}])]),
        (
            [{"role": "system", "content": "s"}, user("a")],
            [{"role": "system", "content": "s"}, user("a")],
        ),
        (
            [user("a"), {"role": "assistant", "content": "x"}, user("b")],
            [user("a"), {"role": "assistant", "content": "x"}, user("b")],
        ),
    ],
)
def test_messages_of_the_user_that_follow_each_other(
    messages: list[Any], joined: list[Any]
) -> None:
    kept = [dict(message) for message in messages]
    assert join_user_messages(messages) == joined
    assert messages == kept


@pytest.mark.parametrize("role", ["system", "developer", "user", "tool", "assistant"])
def test_nothing_as_content_is_an_empty_text(role: str) -> None:
    (message,) = normalize([{"role": role, "content": None}], None)
    assert message["content"] == ""
    assert "content" not in normalize([{"role": "user"}], None)[0]
