"""What a tool's schema says about a parameter, and raw text turned into JSON of that type."""

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Kinds: TypeAlias = frozenset[str]
"""Some of null, integer, number, boolean, object, array, string; empty if the schema does not say."""

SAME: Mapping[str, str] = {
    **dict.fromkeys(("int", "uint", "long", "short", "unsigned", "bigint"), "integer"),
    **dict.fromkeys(("float", "double", "decimal", "num"), "number"),
    **dict.fromkeys(("str", "text", "varchar", "char", "enum"), "string"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("dict", "dictionary", "map"), "object"),
    **dict.fromkeys(("list", "arr", "tuple", "set"), "array"),
    **dict.fromkeys(("none", "nil"), "null"),
}
"""What other languages call them: the word is enough, so `uint8`, `varchar(20)` and `List[str]` are known, too."""
KNOWN = frozenset({"null", "integer", "number", "boolean", "object", "array", "string"})

LITERAL_LIMIT = 1 << 16
"""Longer Python literals stay text: the compiler that reads them is recursive."""

WORD = re.compile(r"[a-z]+")
INTEGER = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
quote = json.JSONEncoder(ensure_ascii=False).encode
compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def properties(parameters: object) -> dict[str, Kinds]:
    """The kinds of every parameter that a tool's schema declares."""
    return {
        name: frozenset(_kinds(schema, parameters, 0)) for part in _parts(parameters, parameters, 0) for name, schema in _declared(part)
    }


def _declared(schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    declared = schema.get("properties")
    if isinstance(declared, Mapping):
        yield from ((name, one) for name, one in declared.items() if isinstance(name, str))


def _parts(schema: object, root: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """A schema and all that it refers to or is put together from."""
    if not isinstance(schema, Mapping) or depth > 8:
        return
    yield schema
    if isinstance(reference := schema.get("$ref"), str):
        yield from _parts(_resolved(reference, root), root, depth + 1)
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(schemas := schema.get(key), list):
            for one in schemas:
                yield from _parts(one, root, depth + 1)


def _resolved(reference: str, root: object) -> object:
    place = root
    for step in reference.removeprefix("#").split("/")[1:]:
        place = place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, Mapping) else None
    return place


def _kinds(schema: object, root: object, depth: int) -> Iterator[str]:
    for part in _parts(schema, root, depth):
        named = part.get("type")
        kinds = [same(kind) for kind in (named if isinstance(named, list) else [named]) if isinstance(kind, str)]
        yield from (kind for kind in kinds if kind in KNOWN)
        if part.get("nullable") is True:
            yield "null"
        if not kinds:
            yield from _unnamed(part)


class ValueSchema:
    """What a schema says about one value, and about the values inside it."""

    def __init__(self, schemas: Sequence[object], root: object) -> None:
        """All of `schemas` speak of the same value, or of what it may be; references lead into `root`."""
        self._root = root
        self._parts = [part for schema in schemas for part in _parts(schema, root, 0)]
        self._members: dict[str, ValueSchema] = {}
        self._alike: dict[str, ValueSchema | None] = {}  # members or items that are described all at once, by the keyword
        found = [_kinds_without_strings(schema, root) for schema in schemas]
        self.kinds: Kinds = frozenset().union(*found) if all(found) else frozenset()
        """The kinds of a value that cannot be a string; empty where it can, or where the schema does not say."""

    def member(self, key: str) -> "ValueSchema | None":
        """Of an object, where the schema says something about that member."""
        if key not in self._members:
            declared = [one for part in self._parts for name, one in _declared(part) if name == key]
            if not declared:
                return self._all("additionalProperties")
            self._members[key] = ValueSchema(declared, self._root)
        return self._members[key]

    @property
    def item(self) -> "ValueSchema | None":
        """Of an array whose items are all described alike."""
        return None if any("prefixItems" in part for part in self._parts) else self._all("items")

    def _all(self, keyword: str) -> "ValueSchema | None":
        if keyword not in self._alike:
            described = [part[keyword] for part in self._parts if isinstance(part.get(keyword), Mapping)]
            self._alike[keyword] = ValueSchema(described, self._root) if described else None
        return self._alike[keyword]

    @property
    def may_convert(self) -> bool:
        """Whether a string in one of its members may have to be converted."""
        names = {name for part in self._parts for name, _ in _declared(part)}
        members = [self._all("additionalProperties"), *map(self.member, names)]
        return any(one is not None and (one.kinds or one._has_inside) for one in members)

    @property
    def _has_inside(self) -> bool:
        return any(key in part for part in self._parts for key in ("properties", "items", "additionalProperties"))


def _kinds_without_strings(schema: object, root: object) -> Kinds:
    kinds = frozenset(_kinds(schema, root, 0))
    ways = [(part, way) for part in _parts(schema, root, 0) for key in ("anyOf", "oneOf") for way in _listed(part.get(key))]
    is_open = any("type" not in part and not frozenset(_kinds(way, root, 0)) for part, way in ways)
    return frozenset() if is_open or "string" in kinds else kinds


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def same(kind: str) -> str:
    """The kind that a type means."""
    word = WORD.match(kind.lower())
    return SAME.get(word[0], word[0]) if word else ""


def _unnamed(schema: Mapping[str, Any]) -> Iterator[str]:
    """The kinds of a schema that names none but shows its values or its inside."""
    values = schema.get("enum")
    for value in [*(values if isinstance(values, list) else ()), *([schema["const"]] if "const" in schema else ())]:
        yield _kind_of(value)
    if "properties" in schema:
        yield "object"
    if "items" in schema:
        yield "array"


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    for kind, types in (("boolean", bool), ("integer", int), ("number", float), ("string", str), ("array", list)):
        if isinstance(value, types):
            return kind
    return "object"


def typed(text: str, kinds: Kinds) -> str:
    """The JSON of raw text: the most specific kind that fits; a string if none does."""
    bare = text.strip()
    found = _typed(bare, kinds)
    if found is None and "string" not in kinds and len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        found = _typed(bare[1:-1].strip(), kinds)
    return quote(text) if found is None else found


def _typed(text: str, kinds: Kinds) -> str | None:
    if text in ("null", "None") and kinds and ("null" in kinds or "string" not in kinds):
        return "null"
    if "integer" in kinds and (found := integer(text)):
        return found
    if "number" in kinds and (found := number(text)):
        return found
    if "boolean" in kinds and (found := _boolean(text, kinds)):
        return found
    if kinds & {"object", "array"}:
        return _structure(text, kinds)
    return None


def integer(text: str) -> str | None:
    """`3.0` is 3; no detour over floats, so every digit stays."""
    if whole := INTEGER.fullmatch(text):
        sign, digits = whole.groups()
        return "-" + digits if sign == "-" and digits != "0" else digits
    if NUMBER.fullmatch(text) and (value := float(text)) == value // 1 and abs(value) < 2**53:
        return str(int(value))
    return None


def number(text: str) -> str | None:
    """Infinity and NaN are no JSON, and 1e999 would become one."""
    if not NUMBER.fullmatch(text) or abs(float(text)) == float("inf"):
        return integer(text)
    return text if JSON_NUMBER.fullmatch(text) else integer(text) or repr(float(text))


def _boolean(text: str, kinds: Kinds) -> str | None:
    word = text.lower()
    if word in ("true", "false"):
        return word
    return {"1": "true", "0": "false"}.get(word) if kinds <= {"boolean", "null"} else None


def _structure(text: str, kinds: Kinds) -> str | None:
    if text[:1] not in ("{", "[", "("):
        return None
    for read in (_json, _python):
        try:
            value = read(text)
            kind = "object" if isinstance(value, dict) else "array" if isinstance(value, (list, tuple)) else ""
            if kind in kinds:
                return compact(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _json(text: str) -> object:
    return json.loads(text, strict=False)


def _python(text: str) -> object:
    if len(text) > LITERAL_LIMIT:
        raise ValueError("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model's odd escape is no business of our log
        return ast.literal_eval(text)
