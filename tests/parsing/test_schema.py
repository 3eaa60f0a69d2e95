"""Raw text becomes JSON of the declared type, or stays the text it is."""

import json
from typing import Any

import pytest

from proxy.parsing import schema
from proxy.parsing.conversion import LITERAL_LIMIT, integer, typed
from proxy.parsing.schema import PARTS_LIMIT, properties

DEFINITIONS: dict[str, dict[str, Any]] = {
    "$defs": {
        "Place": {"type": "object"},
        "Self": {"$ref": "#/$defs/Self"},
        "a/b": {"type": "integer"},
    },
    "definitions": {"Age": {"type": "integer"}},
}
DEFINITIONS["$defs"] |= {  # two that refer to each other, and a chain
    "even": {"type": "array", "anyOf": [{"$ref": "#/$defs/odd"}]},
    "odd": {"type": "null", "anyOf": [{"$ref": "#/$defs/even"}]},
    **{f"step{step}": {"$ref": f"#/$defs/step{step + 1}"} for step in range(50)},
    "step50": {"type": "boolean"},
}


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"type": "varchar"}, {"string"}),
        ({"type": "Int"}, {"integer"}),
        ({"type": ["uint8", "varchar(20)"]}, {"integer", "string"}),
        ({"type": "List[str]"}, {"array"}),
        ({"type": ""}, set()),
        ({"type": "geometry"}, set()),
        ({"type": 5}, set()),
        ({"type": "integer", "nullable": True}, {"integer", "null"}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"string", "integer"}),
        ({"oneOf": [{"type": "array"}, {"type": "null"}]}, {"array", "null"}),
        ({"allOf": [{"$ref": "#/$defs/Place"}, {"description": "x"}]}, {"object"}),
        ({"$ref": "#/definitions/Age"}, {"integer"}),
        ({"$ref": "#/$defs/a~1b"}, {"integer"}),
        ({"$ref": "#/$defs/Self"}, set()),
        ({"$ref": "#/$defs/Nobody/x"}, set()),
        ({"$ref": 7}, set()),
        ({"$ref": "#/properties/it"}, set()),
        ({"anyOf": [{"$ref": "#/properties/it"}, {"type": "integer"}]}, {"integer"}),
        ({"anyOf": [{"$ref": "#/$defs/even"}, {"type": "string"}]}, {"array", "null", "string"}),
        ({"$ref": "#/$defs/step0"}, {"boolean"}),
        ({"type": "x" * 1_000_000}, set()),
        ({"type": [f"uint{bits}" for bits in range(1_000_000)]}, {"integer"}),
        ({"anyOf": "x"}, set()),
        ({"enum": ["a", "b"]}, {"string"}),
        (
            {"enum": [1, None, True, 2.5, [], {}]},
            {"integer", "null", "boolean", "number", "array", "object"},
        ),
        ({"enum": "x"}, set()),
        ({"const": "x"}, {"string"}),
        ({"properties": {}}, {"object"}),
        ({"items": {}}, {"array"}),
        ({}, set()),
        (True, set()),
    ],
)
def test_kinds_of_a_schema(schema: Any, kinds: set[str]) -> None:
    assert properties({**DEFINITIONS, "properties": {"it": schema}}) == {"it": kinds}


def _nested(depth: int) -> dict[str, Any]:
    return {"anyOf": [_nested(depth - 1), {"type": "integer"}]} if depth else {"type": "string"}


SELF = {"$ref": "#"}
LARGE = {
    "refers to itself": {
        "properties": {"a": SELF, "b": {"anyOf": [SELF] * 20}},
        "anyOf": [SELF] * 20,
        "allOf": [SELF] * 20,
    },
    "refers to each other": {
        "$defs": {
            f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{to}"} for to in range(30)]}
            for at in range(30)
        }
    }
    | {"properties": {f"p{at}": {"$ref": f"#/$defs/d{at}"} for at in range(30)}},
    "alternatives in alternatives": {
        "properties": {f"p{at}": {"$ref": "#/$defs/a"} for at in range(3_000)},
        "$defs": {"a": _nested(300)},
    },
    "ten thousand properties": {
        "properties": {f"p{at}": {"type": "integer"} for at in range(10_000)}
    },
    "a million alternatives": {"properties": {"a": {"anyOf": [{"type": "string"}] * 1_000_000}}},
    "a million values": {"properties": {"a": {"enum": list(range(1_000_000))}}},
    "a million properties": {"properties": {str(at): {} for at in range(1_000_000)}},
    "a million steps": {"properties": {"a": {"$ref": "#" + "/a" * 1_000_000}}},
}


@pytest.mark.parametrize("name", LARGE)
def test_no_schema_costs_more_than_its_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each part is read once, and of a schema without end so many parts."""
    read = 0
    own_kinds = schema._SchemaWalk._own_kinds

    def counted(walk: schema._SchemaWalk, part: Any) -> Any:
        nonlocal read
        read += 1
        return own_kinds(walk, part)

    monkeypatch.setattr(schema._SchemaWalk, "_own_kinds", counted)
    found = properties(LARGE[name])
    assert 0 < len(found) <= read <= PARTS_LIMIT
    assert len(found) in (1, 2, 30, 3_000, 10_000, PARTS_LIMIT)


def test_ten_thousand_properties_are_all_typed() -> None:
    assert set(properties(LARGE["ten thousand properties"]).values()) == {frozenset({"integer"})}
    assert set(properties(LARGE["alternatives in alternatives"]).values()) == {
        frozenset({"integer", "string"})
    }


def test_properties_behind_a_reference() -> None:
    parameters = {
        "$ref": "#/$defs/All",
        "$defs": {"All": {"properties": {"a": {"type": "string"}, 5: {}}}},
    }
    assert properties(parameters) == {"a": {"string"}}
    assert properties(None) == properties({"properties": []}) == {}


@pytest.mark.parametrize(
    ("text", "kinds", "value"),
    [
        ("12", "integer", 12),
        (" 12 ", "integer", 12),
        ("3.0", "integer", 3),
        ("3.5", "integer", "3.5"),
        ("1e3", "integer", 1000),
        ("1e400", "integer", "1e400"),
        ("-007", "integer", -7),
        ("+7", "integer", 7),
        ("-0", "integer", 0),
        ('"9"', "integer", 9),
        ("'9'", "integer", 9),
        ('"', "integer", '"'),
        ("98765432109876543210", "integer", 98765432109876543210),
        ("twelve", "integer", "twelve"),
        ("12", "string", "12"),
        ("12", "", "12"),
        ("412.5", "number", 412.5),
        ("11", "number", 11),
        (".5", "number", 0.5),
        ("5.", "number", 5),
        ("+1.5", "number", 1.5),
        ("1e999", "number", "1e999"),
        ("NaN", "number", "NaN"),
        ("Infinity", "integer number", "Infinity"),
        ("9" * 400, "number", int("9" * 400)),
        ("TRUE", "boolean", True),
        ("False", "boolean", False),
        ("1", "boolean", True),
        ("0", "boolean null", False),
        ("yes", "boolean", "yes"),
        ("1", "boolean integer", 1),
        ("1", "boolean string", "1"),
        ("null", "string", "null"),
        ("null", "string null", None),
        ("None", "integer", None),
        ("null", "", "null"),
        ("97", "string integer", 97),
        ("Radio 5", "string integer", "Radio 5"),
        ('"9"', "string integer", '"9"'),
        ('["a", 1]', "array", ["a", 1]),
        ("['a', True]", "array", ["a", True]),
        ("('a', 'b')", "array", ["a", "b"]),
        ('["a",]', "array", ["a"]),
        ('["a\nb"]', "array", ["a\nb"]),
        ("{'a': None}", "object", {"a": None}),
        ('{"a": 1}', "array", '{"a": 1}'),
        ('{"a": 1}', "string", '{"a": 1}'),
        ("[NaN]", "array", "[NaN]"),
        ("[1e999]", "array", "[1e999]"),
        ("['\\d']", "array", ["\\d"]),
        ("[see]", "array", "[see]"),
        ("plain", "array", "plain"),
        ("{1, 2}", "object", "{1, 2}"),
        ("[" * 100_000, "array", "[" * 100_000),
        ("['" + "x" * LITERAL_LIMIT + "']", "array", "['" + "x" * LITERAL_LIMIT + "']"),
    ],
)
def test_typed(text: str, kinds: str, value: Any) -> None:
    found = json.loads(typed(text, frozenset(kinds.split())))
    assert (found, type(found)) == (value, type(value))


def test_an_integer_has_no_limit() -> None:
    assert integer("1" * 10_000) == "1" * 10_000
