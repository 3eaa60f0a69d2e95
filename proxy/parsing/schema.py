"""Kinds of values that a tool's schema allows for its parameters."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

Kinds: TypeAlias = frozenset[str]
"""Kinds among null, integer, number, boolean, object, array and string; empty if unknown."""

KIND_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("int", "uint", "long", "short", "unsigned", "bigint"), "integer"),
    **dict.fromkeys(("float", "double", "decimal", "num"), "number"),
    **dict.fromkeys(("str", "text", "varchar", "char", "enum"), "string"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("dict", "dictionary", "map"), "object"),
    **dict.fromkeys(("list", "arr", "tuple", "set"), "array"),
    **dict.fromkeys(("none", "nil"), "null"),
}
"""Type names of other languages. Only the leading word counts, as in `uint8` or `List[str]`."""
KNOWN = frozenset({"null", "integer", "number", "boolean", "object", "array", "string"})

PARTS_LIMIT = 12_000
"""Maximum number of parts of a schema that are read, to bound the time.

Larger schemas are accepted, but parameters beyond the limit have no known kind.
"""
VALUES_PER_PART = 64  # of an enum; this many count as one part
TYPES_LIMIT, TYPE_LENGTH = 32, 64
POINTER_LIMIT = 64  # steps in a `$ref`
SCHEMA_LISTS = ("allOf", "anyOf", "oneOf")
COMPOSED = frozenset({"$ref", *SCHEMA_LISTS})

WORD = re.compile(r"[a-z]+")


def properties(parameters: object) -> dict[str, Kinds]:
    """Return the kinds of every parameter that a tool's schema declares."""
    walk = _SchemaWalk(parameters)
    declared = {name: schema for part in walk.parts(parameters) for name, schema in _declared(part)}
    for schema in declared.values():
        walk.parts(schema)
    walk.join()
    return {name: walk.kinds_of(schema) for name, schema in declared.items()}


def _declared(schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the name and the schema of each property that `schema` itself declares."""
    declared = schema.get("properties")
    if isinstance(declared, Mapping):
        yield from (
            (name, one)
            for name, one in islice(declared.items(), PARTS_LIMIT)
            if isinstance(name, str)
        )


@dataclass(slots=True)
class _PartsBudget:
    """Number of parts of a schema that may still be read."""

    left: int = PARTS_LIMIT


class _SchemaWalk:
    """Graph of the parts of a schema. A part has its own kinds and those of the parts in it.

    Each part is read once, however many others refer to it, and a part may refer to itself. The
    kinds are then propagated along the references until none changes. As there are seven kinds,
    each part changes at most seven times.
    """

    def __init__(self, root: object, budget: "_PartsBudget | None" = None) -> None:
        self._root = root
        self._budget = budget or _PartsBudget()
        # The kinds of each part, by its id(). The root keeps every part alive.
        self._kinds: dict[int, set[str]] = {}
        self._users: dict[int, list[int]] = {}  # for each part: the parts composed of it

    def parts(self, schema: object) -> list[Mapping[str, Any]]:
        """Read `schema` and everything it is composed of, and return the parts not read before."""
        found: list[Mapping[str, Any]] = []
        waiting = [schema]
        while waiting and self._budget.left > 0:
            self._budget.left -= 1
            part = waiting.pop()
            if not isinstance(part, (dict, Mapping)) or id(part) in self._kinds:
                continue
            found.append(part)
            self._kinds[id(part)] = set(self._own_kinds(part))
            if part.keys() & COMPOSED:
                inner = list(islice(self._made_of(part), self._budget.left))
                for one in inner:
                    self._users.setdefault(id(one), []).append(id(part))
                waiting += reversed(inner)
        return found

    def join(self) -> None:
        """Propagate the kinds of each part to the parts composed of it."""
        changed = list(self._kinds)
        while changed:
            part = changed.pop()
            for user in self._users.get(part, ()):
                if not self._kinds[part] <= self._kinds[user]:
                    self._kinds[user] |= self._kinds[part]
                    changed.append(user)

    def kinds_of(self, schema: object) -> Kinds:
        return frozenset(self._kinds.get(id(schema), ()))

    def _made_of(self, part: Mapping[str, Any]) -> Iterator[object]:
        """Yield the schemas that `part` refers to or combines."""
        if isinstance(reference := part.get("$ref"), str):
            yield self._resolved(reference)
        for key in SCHEMA_LISTS:
            if isinstance(schemas := part.get(key), list):
                yield from schemas

    def _resolved(self, reference: str) -> object:
        """Return the schema that a `$ref` within the root points to, or None."""
        self._budget.left -= 1
        place = self._root
        for step in reference.removeprefix("#").split("/", POINTER_LIMIT)[1:]:
            place = (
                place.get(step.replace("~1", "/").replace("~0", "~"))
                if isinstance(place, Mapping)
                else None
            )
        return place

    def _own_kinds(self, part: Mapping[str, Any]) -> Iterator[str]:
        """Yield the kinds that `part` states itself, apart from the schemas it combines."""
        named = part.get("type")
        kinds = [
            canonical_kind(kind)
            for kind in (named[:TYPES_LIMIT] if isinstance(named, list) else [named])
            if isinstance(kind, str)
        ]
        yield from (kind for kind in kinds if kind in KNOWN)
        if part.get("nullable") is True:
            yield "null"
        if not kinds:
            yield from self._unnamed(part)

    def _unnamed(self, part: Mapping[str, Any]) -> Iterator[str]:
        """Yield the kinds of a schema that names no type, derived from its values or members."""
        values = part.get("enum")
        if isinstance(values, list):
            self._budget.left -= len(values) // VALUES_PER_PART
            yield from map(_kind_of, set(map(type, values)))
        if "const" in part:
            yield _kind_of(type(part["const"]))
        if "properties" in part:
            yield "object"
        if "items" in part:
            yield "array"


class ValueSchema:
    """Description of one value, and of the values inside it, by a schema."""

    def __init__(
        self, schemas: Sequence[object], root: object, budget: _PartsBudget | None = None
    ) -> None:
        """Combine `schemas` that describe the same value; references resolve in `root`."""
        self._root, self._budget = root, budget or _PartsBudget()
        walk = _SchemaWalk(root, self._budget)
        self._parts = [part for schema in schemas for part in walk.parts(schema)]
        walk.join()
        found = [walk.kinds_of(schema) for schema in schemas]
        kinds: Kinds = frozenset().union(*found)
        is_open = (
            not all(found)
            or "string" in kinds
            or any(not walk.kinds_of(way) for way in _alternatives(self._parts))
        )
        self.kinds = frozenset() if is_open else kinds
        """Kinds of the value if it cannot be a string; empty if it can, or if they are unknown."""
        self._declared: dict[str, list[object]] = {}
        for part in self._parts:
            for name, schema in _declared(part):
                self._declared.setdefault(name, []).append(schema)
        self._members: dict[str, ValueSchema] = {}
        # Schemas of keywords that describe all members or all items at once, by keyword.
        self._alike: dict[str, ValueSchema | None] = {}

    def member(self, key: str) -> "ValueSchema | None":
        """Return the schema of the member `key` of an object, or None."""
        if key not in self._declared:
            return self._all("additionalProperties")
        if key not in self._members:
            self._members[key] = ValueSchema(self._declared[key], self._root, self._budget)
        return self._members[key]

    @property
    def item(self) -> "ValueSchema | None":
        """Schema of the items of an array, or None if the items are not all described alike."""
        return None if any("prefixItems" in part for part in self._parts) else self._all("items")

    def _all(self, keyword: str) -> "ValueSchema | None":
        if keyword not in self._alike:
            described = [
                part[keyword] for part in self._parts if isinstance(part.get(keyword), Mapping)
            ]
            self._alike[keyword] = (
                ValueSchema(described, self._root, self._budget) if described else None
            )
        return self._alike[keyword]

    @property
    def may_convert(self) -> bool:
        """Whether a string in one of the object's members may have to be converted."""
        members = [self._all("additionalProperties"), *map(self.member, self._declared)]
        return any(one is not None and (one.kinds or one._has_inside) for one in members)

    @property
    def _has_inside(self) -> bool:
        return any(
            key in part
            for part in self._parts
            for key in ("properties", "items", "additionalProperties")
        )


def _alternatives(parts: Sequence[Mapping[str, Any]]) -> Iterator[object]:
    """Yield the `anyOf` and `oneOf` alternatives of parts that name no type themselves.

    The caller treats an alternative without known kinds as one that allows every kind.
    """
    for part in parts:
        for key in ("anyOf", "oneOf"):
            if "type" not in part and isinstance(listed := part.get(key), list):
                yield from listed


def canonical_kind(kind: str) -> str:
    """Return the JSON kind for the type name `kind`, or its leading word if the name is unknown."""
    return _canonical_kind(kind[:TYPE_LENGTH])


@lru_cache(maxsize=256)
def _canonical_kind(kind: str) -> str:
    word = WORD.match(kind.lower())
    return KIND_ALIASES.get(word[0], word[0]) if word else ""


def _kind_of(type_: type) -> str:
    """Return the kind of JSON value that a Python type represents."""
    for kind, types in (
        ("null", type(None)),
        ("boolean", bool),
        ("integer", int),
        ("number", float),
        ("string", str),
        ("array", list),
    ):
        if issubclass(type_, types):
            return kind
    return "object"
