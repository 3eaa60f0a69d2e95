"""The arguments of a call that the backend parsed: byte for byte, but for their last brace and
strings that the schema excludes.
"""

import json
from typing import Any

import pytest

from proxy.backends import native_arguments
from proxy.backends.native_arguments import NativeArguments
from proxy.parsing.schema import ValueSchema
from tests.parsing.cuts import cuts

NUMBERS = {"type": "array", "items": {"type": "integer"}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "rate": {"type": ["number", "null"]},
        "on": {"type": "boolean"},
        "text": {"type": "string"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "any": {},
        "numbers": NUMBERS,
        "where": {
            "type": "object",
            "properties": {"x": {"type": "number"}, "name": {"type": "string"}},
        },
        "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
        "naïve": {"type": "integer"},
    },
    "$defs": {
        "row": {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/row"}},
        }
    },
}


def read(text: str, schema: Any = None, *, whole: bool = True) -> str:
    """What becomes of the text, the same in every cutting.

    Before `end`, no piece makes it valid JSON.
    """
    results = set()
    for pieces in cuts(text, 200):
        arguments = NativeArguments(None if schema is None else ValueSchema([schema], schema))
        sent = "".join(map(arguments.feed, pieces))
        with pytest.raises(ValueError, match=r"."):
            json.loads(sent)
        assert arguments.is_whole(cut=False) is whole
        results.add(sent + (arguments.end() if whole else arguments.abort()))
    (result,) = results
    return result


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["no schema", "schema"])
@pytest.mark.parametrize(
    "text",
    [
        '{"a":"x\\"}{\\\\"}',
        '{"a":[{"b":"]"}],"c":"\\\\"}',
        "{}",
        '{"a":"\\u00e9", "text" :\t"5000"\n,"any":"5","either":"5"}',
        '{"count":5000,"rate":null,"on":true,"numbers":[1,2],"where":{"x":1.50,"name":"5"}}',
        '{"count":"many","rate":"","on":"perhaps","numbers":"1","where":"x","naïve":"\\ud83d"}',
        '{"text":["5",{"count":"5"}],"any":[["5"]],"unknown":{"count":"5"}}',
        '{"where":[{"x":"5"}],"numbers":{"count":"5"}}',
        '{"count":"\\q5","\\q":"5"}',
    ],
)
def test_what_passes_byte_for_byte(text: str, schema: Any) -> None:
    assert read(text, schema) == text


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"count":"5000"}', '{"count":5000}'),
        ('{ "count" : "5000" , "text":"5000"}', '{ "count" : 5000 , "text":"5000"}'),
        ('{"rate":"1.5","on":"true"}', '{"rate":1.5,"on":true}'),
        ('{"rate":"null"}', '{"rate":null}'),
        ('{"rate":" 2 "}', '{"rate":2}'),
        ('{"count":"\\u0035\\u0030"}', '{"count":50}'),
        ('{"\\u0063ount":"5"}', '{"\\u0063ount":5}'),
        ('{"na\\u00efve":"7","naïve":"8"}', '{"na\\u00efve":7,"naïve":8}'),
        ('{"numbers":["1",2,"x","3"]}', '{"numbers":[1,2,"x",3]}'),
        ('{"numbers":"[1, 2]"}', '{"numbers":[1,2]}'),
        ('{"where":{"x":"1","name":"2"},"count":"3"}', '{"where":{"x":1,"name":"2"},"count":3}'),
        ('{"where":"{\\"x\\": 1}"}', '{"where":{"x":1}}'),
        (
            '{"rows":[{"n":"1","next":{"n":"2"}},{"n":"3"}]}',
            '{"rows":[{"n":1,"next":{"n":2}},{"n":3}]}',
        ),
        ('{"text":"a,\\"count\\":{[","count":"5"}', '{"text":"a,\\"count\\":{[","count":5}'),
    ],
)
def test_a_string_where_the_schema_excludes_strings_is_converted(text: str, right: str) -> None:
    assert read(text, SCHEMA) == right
    assert read(json.dumps(text), SCHEMA) == right  # an object inside a string


@pytest.mark.parametrize(
    ("schema", "text", "right"),
    [
        ({"properties": {"a": {"type": "integer"}}}, '{"a":"1"}', '{"a":1}'),
        ({"additionalProperties": {"type": "integer"}}, '{"a":"1","b":"2"}', '{"a":1,"b":2}'),
        (
            {"additionalProperties": {"type": "integer"}, "properties": {"s": {"type": "string"}}},
            '{"s":"1","b":"2"}',
            '{"s":"1","b":2}',
        ),
        ({"properties": {"a": {"enum": [1, 2]}}}, '{"a":"1"}', '{"a":1}'),
        ({"properties": {"a": {"enum": [1, "x"]}}}, '{"a":"1"}', None),
        ({"properties": {"a": {"const": "1"}}}, '{"a":"1"}', None),
        ({"properties": {"a": {"type": "uint8"}}}, '{"a":"1"}', '{"a":1}'),
        ({"properties": {"a": {"type": "mystery"}}}, '{"a":"1"}', None),
        (
            {"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}},
            '{"a":"1"}',
            '{"a":1}',
        ),
        ({"properties": {"a": {"anyOf": [{"type": "integer"}, {}]}}}, '{"a":"1"}', None),
        (
            {"properties": {"a": {"type": "object", "anyOf": [{"required": ["x"]}]}}},
            '{"a":"{}"}',
            '{"a":{}}',
        ),
        (
            {
                "anyOf": [
                    {"properties": {"a": {"type": "integer"}}},
                    {"properties": {"a": {"type": "string"}}},
                ]
            },
            '{"a":"1"}',
            None,
        ),
        (
            {
                "anyOf": [
                    {"properties": {"a": {"type": "integer"}}},
                    {"properties": {"b": {"type": "string"}}},
                ]
            },
            '{"a":"1"}',
            '{"a":1}',
        ),
        (
            {
                "properties": {
                    "a": {"items": {"type": "integer"}, "prefixItems": [{"type": "string"}]}
                }
            },
            '{"a":["1"]}',
            None,
        ),
        (
            {"properties": {"a": {"anyOf": [{"type": "string"}, NUMBERS]}}},
            '{"a":["1"]}',
            '{"a":[1]}',
        ),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, NUMBERS]}}}, '{"a":"[1]"}', None),
        ({"properties": {"a": True}}, '{"a":"1"}', None),
        (None, '{"a":"1"}', None),
        ("x", '{"a":"1"}', None),
    ],
)
def test_what_a_schema_excludes(schema: Any, text: str, right: str | None) -> None:
    assert read(text, schema) == (right or text)
    values = ValueSchema([schema], schema)
    assert values.may_convert or right is None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"a": {"type": "string"}, "b": {}, "c": {"type": ["string", "integer"]}}},
        None,
    ],
)
def test_a_tool_without_such_a_parameter_is_not_examined(schema: Any) -> None:
    assert not ValueSchema([schema], schema).may_convert


@pytest.mark.parametrize(
    "text",
    ['{"count":"50', '{"count', '{"count":', '{"text":"5', '{"numbers":["1","2', '{"count":"5\\'],
)
def test_half_a_call_keeps_what_it_has(text: str) -> None:
    assert read(text, SCHEMA, whole=False) == text.replace('"1"', "1")


def test_broken_json_does_not_raise() -> None:
    for text in (
        '{"count":"5"]',
        '{"count"}',
        "{]",
        '{"numbers":["1"}}',
        '{,,"5"}',
        '{"a" "count":"5"}',
    ):
        for pieces in cuts(text):
            arguments = NativeArguments(ValueSchema([SCHEMA], SCHEMA))
            sent = "".join(map(arguments.feed, pieces))
            assert arguments.closed
            assert (sent + arguments.end()).replace('"', "") == text.replace('"', "")


def test_blanks_around_the_object_are_dropped() -> None:
    assert read(" \n\t" * 20 + '{"a":1}' + " \n\t" * 20) == '{"a":1}'
    assert read('{"a":1} ,') == '{"a":1} ,'


@pytest.mark.parametrize("text", ['{"a":"', '"', "x", "[", '{"a":1}', " ", '{"numbers":["'])
@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["no schema", "schema"])
def test_what_has_come_is_not_put_together_again_with_each_piece(text: str, schema: Any) -> None:
    arguments = NativeArguments(None if schema is None else ValueSchema([schema], schema))
    for piece in [text, *["1" if text.strip() else " "] * 1000]:
        arguments.feed(piece)
    assert all(
        len(piece) <= len(text) for piece in [*arguments._held_back, *(arguments._captured or ())]
    )


def test_blanks_behind_the_object_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_arguments, "HELD_LIMIT", 100)
    arguments = NativeArguments()
    assert [arguments.feed(piece) for piece in ['{"a":1}', *[" "] * 500]] == ['{"a":1', *[""] * 500]
    assert len(arguments._held_back) < 150
    assert arguments.end() == "}"


@pytest.mark.parametrize("opening", ["x", '"', '{"count":"', '{"', '{"a":1}x'])
def test_what_is_held_back_has_a_limit(opening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_arguments, "HELD_LIMIT", 100)
    arguments = NativeArguments(ValueSchema([SCHEMA], SCHEMA))
    sent = [arguments.feed(piece) for piece in [opening, *["5"] * 500]]
    assert len("".join(sent)) > 300
    closing = '","on":"true"}' if opening.startswith('{"c') else ""
    sent += [
        arguments.feed(closing),
        arguments.end() if arguments.is_whole(cut=False) else arguments.abort(),
    ]
    assert "".join(sent) == opening + "5" * 500 + closing.replace('"true"', "true")
