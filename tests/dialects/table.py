"""What all tables share: a text, and what is right."""

from typing import Any, NamedTuple

from proxy.dialects import Parser
from proxy.parsing.parser import ThinkingMode
from tests.parsing.cuts import Call, Seen, always, cuts, tool

TOOLS = [
    tool(
        "log_water",
        plant={"type": "string"},
        millilitres={"type": "integer"},
        fertilised={"type": "boolean"},
    ),
    tool(
        "write_note", path={"type": "string"}, body={"type": "string"}, append={"type": "boolean"}
    ),
    tool("list_drones"),
    tool(
        "plan_route", stops={"type": "array"}, avoid={"type": "object"}, max_km={"type": "number"}
    ),
    tool(
        "read_log",
        pattern={"type": "string"},
        window={"type": "array"},
        **{"from": {"type": "integer"}},
    ),
    tool("set_alarm", label={"type": ["string", "null"]}, hour={"type": "integer"}),
]
LIST = Call("list_drones", {})


def water(plant: str = "fern", **more: Any) -> Call:
    return Call("log_water", {"plant": plant, **more})


FERN = water()


def half(name: str, arguments: str) -> Call:
    return Call(name, arguments, whole=False)


def calls(*found: Call, content: str = "", thoughts: str = "") -> Seen:
    return Seen(content, found, thoughts)


def read(
    text: str, dialect: str = "auto", finish: str = "stop", thinking: ThinkingMode = "tags"
) -> Seen:
    return always(lambda: Parser(TOOLS, dialect, thinking), text, finish, cuts(text, every=60))


class Case(NamedTuple):
    name: str
    text: str
    found: Seen
    finish: str
    thinking: ThinkingMode


def case(
    name: str, text: str, found: Seen, finish: str = "stop", thinking: ThinkingMode = "tags"
) -> Case:
    return Case(name, text, found, finish, thinking)
