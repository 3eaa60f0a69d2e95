"""The same question, said another way."""

from typing import Any

import pytest

from proxy.chat_request.fallbacks import (
    can_prefill,
    can_use_completion,
    completion_body,
    relax_schemas,
    requires_tool_call,
    with_prefill,
    without_parser,
)

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "x"}],
    "tools": [],
    "temperature": 0.5,
}


def soft(schema: Any) -> Any:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": schema}}
    body = BODY | {"tools": [tool]}
    changed = relax_schemas(body)
    assert body["tools"] == [tool]  # the client's own is left alone
    assert tool["function"]["parameters"] is schema
    return changed["tools"][0]["function"]["parameters"]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("required", True),
        ({"type": "function", "function": {"name": "f"}}, True),
        ("auto", False),
        (None, False),
    ],
)
def test_a_call_that_must_come(choice: Any, wanted: bool) -> None:
    assert requires_tool_call({"tool_choice": choice}) is wanted


def test_raw_leaves_the_prompt_as_it_is() -> None:
    assert without_parser(BODY | {"tool_choice": "auto"}) == BODY | {
        "tool_choice": "none",
        "reasoning_format": "none",
    }


def test_the_sent_text_is_at_the_end_of_the_prompt() -> None:
    assert with_prefill(BODY, "I look", "", 0)["messages"][1:] == [
        {"role": "assistant", "content": "I look"}
    ]
    assert with_prefill(BODY, "", "hm", 0)["messages"][1:] == [
        {"role": "assistant", "content": "", "reasoning_content": "hm"}
    ]
    assert len(BODY["messages"]) == 1


@pytest.mark.parametrize(
    ("limit", "left"),
    [(100, 60), (41, 1), (40, 1), (9, 1), (-1, -1), (None, None), ("many", "many")],
)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_what_was_spent_is_not_spent_again(name: str, limit: Any, left: Any) -> None:
    assert with_prefill(BODY | {name: limit}, "I look", "", 40)[name] == left


@pytest.mark.parametrize(
    ("fields", "may"),
    [
        ({}, True),
        ({"response_format": {"type": "text"}, "grammar": "", "json_schema": None}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"response_format": "json"}, False),
        ({"grammar": 'root ::= "a"'}, False),
        ({"json_schema": {"type": "object"}}, False),
    ],
)
def test_in_the_middle_of_a_form_nothing_goes_on(fields: Any, may: bool) -> None:
    assert can_prefill(BODY | fields) is may


def test_a_prompt_to_be_completed() -> None:
    asked = completion_body(
        BODY | {"max_completion_tokens": 9, "stream": False, "tool_choice": "auto"}, "P", ["<a>"]
    )
    assert asked == {
        "model": "m",
        "temperature": 0.5,
        "max_tokens": 9,
        "prompt": "P",
        "preserved_tokens": ["<a>"],
        "stream": True,
        "return_progress": True,
    }
    assert "max_tokens" not in completion_body(BODY, "P", [])


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({}, True),
        ({"n": 1, "response_format": {"type": "text"}}, True),
        ({"n": None, "response_format": None}, True),
        ({"n": 2}, False),
        ({"response_format": {"type": "json_object"}}, False),
        ({"response_format": "x"}, False),
        (
            {"messages": [{"content": [{"type": "text", "text": "a"}]}, {"content": None}, "x"]},
            True,
        ),
        (
            {"messages": [{"content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]},
            False,
        ),
        ({"messages": [{"content": ["x"]}]}, False),
    ],
)
def test_what_is_more_than_its_prompt(more: dict[str, Any], fits: bool) -> None:
    assert can_use_completion(BODY | more) is fits


def test_rules_that_grammars_cannot_express_are_described() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {
                "type": "string",
                "pattern": "^(?=a)",
                "description": "its name",
                "maxLength": 100000,
            },
            "list": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3000},
            "odd": {"type": "varchar"},
            "any": True,
        },
        "required": ["name"],
        "additionalProperties": False,
        "x-mine": 1,
    }
    assert soft(schema) == {
        "type": "object",
        "properties": {
            "name": {
                "type": "string",
                "description": "its name (pattern: ^(?=a), maxLength: 100000)",
            },
            "list": {
                "type": "array",
                "items": {"type": "integer", "description": "minimum: 1"},
                "description": "minItems: 3000",
            },
            "odd": {"description": "type: varchar"},
            "any": True,
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def test_what_can_be_resolved_stays_and_what_cannot_goes() -> None:
    schema = {
        "$defs": {"a/b": {"type": ["string", "null"], "format": "uri"}},
        "anyOf": [
            {"$ref": "#/$defs/a~1b"},
            {"$ref": "#/$defs/none"},
            {"$ref": "https://elsewhere"},
            {"$ref": 5},
            {"$ref": "#/$defs/a~1b/type/x"},
        ],
    }
    assert soft(schema) == {
        "$defs": {"a/b": {"type": ["string", "null"], "description": "format: uri"}},
        "anyOf": [{"$ref": "#/$defs/a~1b"}, {}, {}, {}, {}],
    }


def test_a_parameter_may_be_named_like_a_rule() -> None:
    schema = {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "format": {"type": "string"}},
    }
    assert soft(schema) == schema


@pytest.mark.parametrize(
    "tools",
    [
        None,
        "x",
        [],
        [5, {"type": "function"}, {"function": {"name": "f"}}, {"function": {"parameters": "x"}}],
    ],
)
def test_what_is_no_schema_is_left_alone(tools: Any) -> None:
    assert relax_schemas(BODY | {"tools": tools}) == BODY | {"tools": tools}
