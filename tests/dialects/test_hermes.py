"""Hermes' JSON between tags, well made and less so."""

import json
from typing import Any

import pytest

from proxy.dialects import Parser
from proxy.parsing.events import CallStart
from tests.parsing.cuts import TOOLS, Call, Seen, always, tool


def water(**arguments: Any) -> Call:
    return Call("water", arguments)


LIST = Call("list_drones", {})
FERN = water(plant="fern")
JSON = '{"name": "water", "arguments": {"plant": "fern"}}'


def tagged(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


CASES: dict[str, tuple[str, Seen]] = {
    "as documented": (f"Hm.\n{tagged(JSON)}\nDone.", Seen("Hm.\n\nDone.", (FERN,))),
    "two in a row": (
        tagged(JSON) + tagged('{"name": "list_drones", "arguments": {}}'),
        Seen("", (FERN, LIST)),
    ),
    "closer missing": (f"<tool_call>{JSON}", Seen("", (FERN,))),
    "closer missing, prose after": (
        f"<tool_call>{JSON}\nThat is [1] {{x}} all.",
        Seen("That is [1] {x} all.", (FERN,)),
    ),
    "closer missing, call after": (f"<tool_call>{JSON}\n{tagged(JSON)}", Seen("", (FERN, FERN))),
    "closer doubled": (
        f"a\n<tool_call>\n{JSON}\n</tool_call>\n</tool_call>\nb",
        Seen("a\n\nb", (FERN,)),
    ),
    "opener doubled": (f"<tool_call>\n<tool_call>{JSON}</tool_call>", Seen("", (FERN,))),
    "opener as closer": (f"<tool_call>{JSON}<tool_call>\n", Seen("", (FERN,))),
    "opener missing": (f"{JSON}\n</tool_call>", Seen("", (FERN,))),
    "opener missing, prose after": (f"{JSON}\n</tool_call>\nDone.", Seen("Done.", (FERN,))),
    "opener missing after a call": (
        f"{tagged(JSON)}\n{JSON.replace('fern', 'a')}\n</tool_call>",
        Seen("", (FERN, water(plant="a"))),
    ),
    "opener missing, the same call once more": (
        f"{tagged(JSON)}\n{JSON}\n</tool_call>",
        Seen("", (FERN,)),
    ),
    "opener missing, undeclared": (
        JSON.replace("water", "launch") + "</tool_call>",
        Seen(JSON.replace("water", "launch") + "</tool_call>"),
    ),
    "undeclared": (
        tagged('{"name": "launch", "arguments": {"a": [1, {"b": "c"}]}}'),
        Seen("", (Call("launch", {"a": [1, {"b": "c"}]}),)),
    ),
    "arguments first": (
        tagged('{"arguments": {"plant": "fern"}, "name": "water"}'),
        Seen("", (FERN,)),
    ),
    "parameters": (tagged('{"name": "water", "parameters": {"plant": "fern"}}'), Seen("", (FERN,))),
    "arguments as a string": (
        tagged(json.dumps({"name": "water", "arguments": '{"plant": "fern"}'})),
        Seen("", (FERN,)),
    ),
    "arguments as an empty string": (
        tagged('{"name": "list_drones", "arguments": ""}'),
        Seen("", (LIST,)),
    ),
    "arguments as a string that is no object": (
        tagged('{"name": "water", "arguments": "none"}'),
        Seen(tagged('{"name": "water", "arguments": "none"}')),
    ),
    "arguments as a string with more behind": (
        tagged('{"name": "water", "arguments": "{} x"}'),
        Seen(tagged('{"name": "water", "arguments": "{} x"}')),
    ),
    "arguments null": (tagged('{"name": "list_drones", "arguments": null}'), Seen("", (LIST,))),
    "arguments missing": (tagged('{"name": "list_drones"}'), Seen("", (LIST,))),
    "arguments a list": (
        tagged('{"name": "water", "arguments": ["x"]}'),
        Seen(tagged('{"name": "water", "arguments": ["x"]}')),
    ),
    "arguments twice": (
        tagged('{"name": "list_drones", "arguments": {}, "parameters": {}}'),
        Seen("", (LIST,)),
    ),
    "arguments first, broken off": (
        '<tool_call>{"arguments": {"plant": "f',
        Seen('<tool_call>{"arguments": {"plant": "f'),
    ),
    "arguments flat": (
        tagged('{"name": "water", "type": "function", "plant": "fern", "litres": 2.0}'),
        Seen("", (water(plant="fern", litres=2),)),
    ),
    "arguments flat and unknown": (
        tagged('{"name": "water", "wood": "fern"}'),
        Seen(tagged('{"name": "water", "wood": "fern"}')),
    ),
    "OpenAI's shape": (
        tagged(
            '{"id": "c1", "type": "function", "function": {"name": "water", "arguments": '
            '{"plant": "fern"}}}'
        ),
        Seen("", (FERN,)),
    ),
    "function as the name": (
        tagged('{"function": "water", "arguments": {"plant": "fern"}}'),
        Seen("", (FERN,)),
    ),
    "wrapped too deep": (
        tagged('{"function": ' * 9 + "{}" + "}" * 9),
        Seen(tagged('{"function": ' * 9 + "{}" + "}" * 9)),
    ),
    "a list": (tagged(f'[{JSON}, {{"name": "list_drones"}}]'), Seen("", (FERN, LIST))),
    "two objects": (tagged(f'{JSON}\n{{"name": "list_drones"}}'), Seen("", (FERN, LIST))),
    "the second is no call": (
        tagged(f'{JSON}\n{{"age": 5}}'),
        Seen('{"age": 5}\n</tool_call>', (FERN,)),
    ),
    "the second broke off": (
        f'<tool_call>{JSON}{{"name": "water", "arguments": {{"plant": "f',
        Seen("", (FERN, Call("water", '{"plant":"f', whole=False))),
    ),
    "Python's dict": (
        tagged("{'name': 'water', 'arguments': {'plant': \"it's\", 'note': None}}"),
        Seen("", (water(plant="it's", note=None),)),
    ),
    "raw newline": (tagged(JSON.replace("fern", "a\nb")), Seen("", (water(plant="a\nb"),))),
    "trailing comma": (tagged(JSON.replace('n"}', 'n",}')), Seen("", (FERN,))),
    "brace missing": (tagged(JSON[:-1]), Seen("", (FERN,))),
    "both braces missing": (tagged(JSON[:-2]), Seen("", (FERN,))),
    "both braces missing at the end": ("<tool_call>" + JSON[:-2], Seen("", (FERN,))),
    "brace too many": (tagged(JSON + "}"), Seen("", (FERN,))),
    "bad escape": (
        tagged(r'{"name": "water", "arguments": {"plant": "C:\dir\new"}}'),
        Seen("", (water(plant="C:\\dir\\new"),)),
    ),
    "unescaped quotes": (
        tagged(JSON.replace("fern", 'a "b" c')),
        Seen("", (water(plant='a "b" c'),)),
    ),
    "bare keys": (tagged('{name: "water", arguments: {plant: "fern"}}'), Seen("", (FERN,))),
    "comma missing": (
        tagged('{"name": "water" "arguments": {"plant": "a" "litres": 4}}'),
        Seen("", (water(plant="a", litres=4),)),
    ),
    "garbage after the arguments": (f"<tool_call>{JSON[:-1]} ?", Seen("?", (FERN,))),
    "garbage inside them": (
        '<tool_call>{"name": "water", "arguments": {"plant": ?',
        Seen("", (Call("water", '{"plant":', whole=False),)),
    ),
    "broken off inside a value": (
        "<tool_call>" + JSON[:-4],
        Seen("", (Call("water", '{"plant":"fer', whole=False),)),
    ),
    "broken off before the name": ('<tool_call>{"name": "wat', Seen('<tool_call>{"name": "wat')),
    "a name that is none": (
        tagged('{"name": 5, "arguments": {}}'),
        Seen(tagged('{"name": 5, "arguments": {}}')),
    ),
    "a name that cannot be one": (
        tagged('{"name": "…", "arguments": {}}'),
        Seen(tagged('{"name": "…", "arguments": {}}')),
    ),
    "no object at all": (tagged("Hello there"), Seen(tagged("Hello there"))),
    "nothing inside": (tagged(""), Seen(tagged(""))),
    "closer in a string": (
        tagged(JSON.replace("fern", "a</tool_call>")),
        Seen("", (water(plant="a</tool_call>"),)),
    ),
    "the same key twice": (
        tagged(JSON.replace('n"}', 'n", "plant": "oak"}')),
        Seen("", (water(plant="oak"),)),
    ),
    "typed by the schema": (
        tagged(
            '{"name": "water", "arguments": {"plant": 5, "litres": "9", "note": null, "days": '
            '"[1]"}}'
        ),
        Seen("", (water(plant="5", litres=9, note=None, days=[1]),)),
    ),
    "typed, but it does not fit": (
        tagged('{"name": "water", "arguments": {"litres": 1.5, "plant": true}}'),
        Seen("", (water(litres=1.5, plant=True),)),
    ),
    "typed value broken off": (
        '<tool_call>{"name": "water", "arguments": {"litres": "9',
        Seen("", (Call("water", '{"litres":', whole=False),)),
    ),
    "a call of Python": (
        tagged('water(plant="fe"rn", litres=3, days=[1, 2])'),
        Seen("", (water(plant='fe"rn', litres=3, days=[1, 2]),)),
    ),
    "a call of Python, no arguments": (tagged("list_drones()"), Seen("", (LIST,))),
    "a call of Python, bracket missing": ('<tool_call>water(plant="fern"', Seen("", (FERN,))),
    "a call of Python, value missing": (
        "<tool_call>water(plant=",
        Seen("", (Call("water", '{"plant":', whole=False),)),
    ),
    "a call of Python, broken off": (
        "<tool_call>water(plant='fe",
        Seen("", (Call("water", '{"plant":"fe', whole=False),)),
    ),
    "a call of Python, strange": (
        '<tool_call>water(plant="a", litres=3, ?',
        Seen("?", (Call("water", '{"plant":"a","litres":3', whole=False),)),
    ),
    "a call of Python, broken off in a name": (
        '<tool_call>water(plant="a", lit',
        Seen("", (Call("water", '{"plant":"a"', whole=False),)),
    ),
    "a call of Python by position": (tagged('water("fern")'), Seen(tagged('water("fern")'))),
    "a name and JSON": (tagged('water\n{"plant": "fern"}'), Seen("", (FERN,))),
    "a name and something else": (tagged("water {plants}"), Seen(tagged("water {plants}"))),
    "a name and JSON broken off": (
        '<tool_call>water{"plant": "f',
        Seen("", (Call("water", '{"plant":"f', whole=False),)),
    ),
    "a fence inside": (tagged(f"```json\n{JSON}\n```"), Seen("", (FERN,))),
    "an element": (tagged("<water>\n<plant>\nfern\n</plant>\n</water>"), Seen("", (FERN,))),
    "an element with two children": (
        tagged("<water><plant>a < b</plant><litres>4</litres></water>"),
        Seen("", (water(plant="a < b", litres=4),)),
    ),
    "an element with JSON": (tagged('<water>{"plant": "fern"}</water>'), Seen("", (FERN,))),
    "an element without children": (tagged("<list_drones>\n</list_drones>"), Seen("", (LIST,))),
    "an element that is no tool": (tagged("<launch></launch>"), Seen(tagged("<launch></launch>"))),
}
for spelling in ("function_call", "tools", "tool"):
    CASES[f"<{spelling}>"] = (tagged(JSON).replace("tool_call", spelling), Seen("", (FERN,)))


def test_with_both_tags_missing_it_is_another_dialect() -> None:
    assert always(lambda: Parser(TOOLS, "hermes"), JSON) == Seen(JSON)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", ["auto", "hermes"])
def test_table(case: str, dialect: str) -> None:
    text, found = CASES[case]
    assert always(lambda: Parser(TOOLS, dialect), text) == found


CUT: dict[str, tuple[str, Seen]] = {
    "after the object": (f"<tool_call>{JSON}", Seen("", (FERN,))),
    "before its last brace": (
        f"<tool_call>{JSON[:-1]}",
        Seen("", (Call("water", '{"plant":"fern"', whole=False),)),
    ),
    "in the arguments": (
        f"<tool_call>{JSON[:-2]}",
        Seen("", (Call("water", '{"plant":"fern"', whole=False),)),
    ),
    "after the name": (
        '<tool_call>{"name": "list_drones"',
        Seen('<tool_call>{"name": "list_drones"'),
    ),
    "in a call of Python": (
        '<tool_call>water(plant="a"',
        Seen("", (Call("water", '{"plant":"a"', whole=False),)),
    ),
}


@pytest.mark.parametrize("case", CUT)
def test_a_cut_answer_is_not_completed(case: str) -> None:
    text, found = CUT[case]
    assert always(lambda: Parser(TOOLS), text, "length") == found


def test_a_known_id_is_kept() -> None:
    assert Parser(TOOLS).feed('<tool_call>{"id": "c1", "name": "water", "arguments": {"litres": "')[
        0
    ] == CallStart(0, "c1", "water")
    assert Parser(TOOLS).feed('<tool_call>{"id": "", "name": "water", "arguments": {"litres": "')[
        0
    ] == CallStart(0, None, "water")


def test_arguments_stream() -> None:
    parser = Parser([tool("write")])
    parser.feed('<tool_call>{"name": "write", "arguments": {"deep": {"er": "so')
    for letter in "abc d":
        assert len(parser.feed(letter)) == 1
