"""Qwen3-Coder's tags, well made and less so."""

from typing import Any

import pytest

from proxy.dialects import Parser
from tests.parsing.cuts import TOOLS, Call, Seen, always, tool

WATER = (
    "<tool_call>\n<function=water>\n<parameter=plant>\n{}\n</parameter>\n</function>\n</tool_call>"
)


def water(**arguments: Any) -> Call:
    return Call("water", arguments)


LIST = Call("list_drones", {})

CASES: dict[str, tuple[str, Seen]] = {
    "as documented": (
        f"Hm.\n{WATER.format('fern')}\nDone.",
        Seen("Hm.\n\nDone.", (water(plant="fern"),)),
    ),
    "outer opener missing": (
        WATER.format("fern").removeprefix("<tool_call>\n"),
        Seen("", (water(plant="fern"),)),
    ),
    "outer tags missing": ("<function=list_drones></function>", Seen("", (LIST,))),
    "without outer opener only declared tools": (
        "<function=launch></function>",
        Seen("<function=launch></function>"),
    ),
    "with it any": (
        "<tool_call><function=launch></function></tool_call>",
        Seen("", (Call("launch", {}),)),
    ),
    "doubled opener": (
        "<tool_call>\n<tool_call><function=list_drones></function></tool_call>",
        Seen("", (LIST,)),
    ),
    "opener as closer": (
        "<tool_call><function=list_drones></function><tool_call>",
        Seen("", (LIST,)),
    ),
    "no function closer": ("<tool_call><function=list_drones></tool_call>", Seen("", (LIST,))),
    "no function closer before the next": (
        (
            "<tool_call><function=water><parameter=plant>a</parameter>\n"
            "<tool_call><function=list_drones></function>"
        ),
        Seen("", (water(plant="a"), LIST)),
    ),
    "what opens a tool that nobody knows is no proof": (
        WATER.format("a</parameter>\n<tool_call><function=x> b"),
        Seen("", (water(plant="a</parameter>\n<tool_call><function=x> b"),)),
    ),
    "two functions in one block": (
        (
            "<tool_call><function=list_drones></function>\n"
            "<function=water><parameter=plant>a</parameter></function></tool_call>"
        ),
        Seen("", (LIST, water(plant="a"))),
    ),
    "function closer doubled": (
        "<tool_call><function=list_drones></function></function></tool_call>x",
        Seen("x", (LIST,)),
    ),
    "a second function that is none": (
        "<tool_call><function=list_drones></function>\n<function=x> y",
        Seen("<function=x> y", (LIST,)),
    ),
    "two blocks": (
        (WATER.format("a") + "\n" + WATER.format("b")),
        Seen("", (water(plant="a"), water(plant="b"))),
    ),
    "JSON inside": (
        '<tool_call><function=water>{"plant": "x", "litres": "4"}</function></tool_call>',
        Seen("", (water(plant="x", litres=4),)),
    ),
    "JSON inside, no arguments": (
        "<tool_call><function=water>{ }</function></tool_call>",
        Seen("", (water(),)),
    ),
    "JSON inside broken off": (
        '<function=water>{"plant": "x',
        Seen("", (Call("water", '{"plant":"x', whole=False),)),
    ),
    "braces that are no JSON": ("<function=water>{x}", Seen("<function=water>{x}")),
    "value at its end, all closers missing": (
        "<tool_call><function=water><parameter=plant>a</parameter>",
        Seen("", (water(plant="a"),)),
    ),
    "value broken off": (
        "<tool_call><function=water><parameter=plant>a",
        Seen("", (Call("water", '{"plant":"a', whole=False),)),
    ),
    "value closer missing before the end": (
        "<tool_call>\n<function=water>\n<parameter=plant>\na\n</tool_call>",
        Seen("", (water(plant="a"),)),
    ),
    "value closer missing before the next": (
        (
            "<tool_call>\n<function=water>\n<parameter=plant>\na\n<parameter=litres>\n3\n"
            "</parameter>\n</function>\n</tool_call>"
        ),
        Seen("", (water(plant="a", litres=3),)),
    ),
    "value closer missing, next only mentioned": (
        WATER.format("use <parameter=litres> here"),
        Seen("", (water(plant="use <parameter=litres> here"),)),
    ),
    "value closer doubled": (
        WATER.replace("</parameter>", "</parameter>\n</parameter>").format("a"),
        Seen("", (water(plant="a"),)),
    ),
    "value that closes its own": (
        WATER.format("<parameter>1</parameter>").replace("\n</parameter>", "</parameter>"),
        Seen("", (water(plant="<parameter>1</parameter>"),)),
    ),
    "closer in the value": (
        WATER.format("a </parameter> b"),
        Seen("", (water(plant="a </parameter> b"),)),
    ),
    "function closer in the value": (
        WATER.format("a\n</function> b"),
        Seen("", (water(plant="a\n</function> b"),)),
    ),
    "quoted block closer in the value": (
        WATER.format('"</tool_call>'),
        Seen("", (water(plant='"</tool_call>'),)),
    ),
    "a value that ends with the answer": (
        "<tool_call>\n<function=water>\n<parameter=plant>\na\n</function>",
        Seen("", (water(plant="a"),)),
    ),
    "a value that tells of a call": (
        WATER.format(WATER.format("x")),
        Seen("", (water(plant=WATER.format("x")),)),
    ),
    "a value that tells of a call, then goes on": (
        WATER.format(f"So:\n{WATER.format('x')}\nSee?"),
        Seen("", (water(plant=f"So:\n{WATER.format('x')}\nSee?"),)),
    ),
    "a value that mentions a function": (
        WATER.format("write\n<function=x>\nfirst"),
        Seen("", (water(plant="write\n<function=x>\nfirst"),)),
    ),
    "a value that mentions a function, prose after": (
        WATER.format("write\n<function=x>\nfirst") + "\nDone.",
        Seen("Done.", (water(plant="write\n<function=x>\nfirst"),)),
    ),
    "a value that mentions a function, another call after": (
        WATER.format("write\n<function=x>\nfirst") + "\n" + WATER.format("b"),
        Seen("", (water(plant="write\n<function=x>\nfirst"), water(plant="b"))),
    ),
    "a value that tells of a call and mentions another": (
        WATER.format(WATER.format("x") + "\nor\n<function=x>"),
        Seen("", (water(plant=WATER.format("x") + "\nor\n<function=x>"),)),
    ),
    "two calls told of": (
        WATER.format(WATER.format("x") + "\n" + WATER.format("y")),
        Seen("", (water(plant=WATER.format("x") + "\n" + WATER.format("y")),)),
    ),
    "undeclared parameter": (
        "<tool_call><function=water><parameter=mood>5</parameter></function></tool_call>",
        Seen("", (water(mood="5"),)),
    ),
    "undeclared parameter after a nested one": (
        WATER.format("<parameter=x>\n</parameter>\n<parameter=y>"),
        Seen("", (water(plant="<parameter=x>\n</parameter>\n<parameter=y>"),)),
    ),
    "one newline each side": (WATER.format("\n  a\n"), Seen("", (water(plant="\n  a\n"),))),
    "Windows newlines": (
        WATER.format("a\r\nb").replace("\n", "\r\n").replace("\r\r", "\r"),
        Seen("", (water(plant="a\r\nb"),)),
    ),
    "spaces and quotes in the tags": (
        (
            "<tool_call><function = \"water\" ><parameter = 'plant' >a</parameter></function>"
            "</tool_call>"
        ),
        Seen("", (water(plant="a"),)),
    ),
    "tags never closed": (
        (
            "<tool_call>\n<function=water\n<parameter=plant\na\n</parameter>\n</function>\n"
            "</tool_call>"
        ),
        Seen("", (water(plant="a"),)),
    ),
    "name spelled otherwise": (
        "<tool_call><function=functions.List-Drones></function></tool_call>",
        Seen("", (LIST,)),
    ),
    "all types": (
        "<tool_call><function=water><parameter=litres> 3.0 </parameter>"
        "<parameter=note>null</parameter>"
        "<parameter=days>['mo', 'we']</parameter></function></tool_call>",
        Seen("", (water(litres=3, note=None, days=["mo", "we"]),)),
    ),
    "parameter without a name": (
        "<tool_call><function=water><parameter=>a</parameter></function></tool_call>",
        Seen("<tool_call><function=water><parameter=>a</parameter></function></tool_call>"),
    ),
    "a later parameter without a name": (
        (
            "<tool_call><function=water><parameter=plant>a</parameter></parameter>"
            "<parameter=litres>1</parameter>?"
        ),
        Seen("", (Call("water", '{"plant":"a","litres":', whole=False),)),
    ),
    "only the opener": ("<tool_call>", Seen("<tool_call>")),
    "only the function": ("<tool_call><function=water>", Seen("<tool_call><function=water>")),
    "a marker in prose": (
        "<function=water> is a tag, </function> too.",
        Seen("<function=water> is a tag, </function> too."),
    ),
    "other functions": ("<functional> <function>", Seen("<functional> <function>")),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", ["auto", "qwen3_coder"])
def test_table(case: str, dialect: str) -> None:
    text, found = CASES[case]
    assert always(lambda: Parser(TOOLS, dialect), text) == found


CUT: dict[str, tuple[str, Seen]] = {
    "after a value": (
        "<tool_call><function=water><parameter=plant>a</parameter>",
        Seen("", (Call("water", '{"plant":"a"', whole=False),)),
    ),
    "in the next parameter's tag": (
        "<tool_call><function=water><parameter=plant>a\n<parameter=lit",
        Seen("", (Call("water", '{"plant":"a', whole=False),)),
    ),
    "after the call": (
        "<tool_call><function=water><parameter=plant>a</parameter></function>",
        Seen("", (water(plant="a"),)),
    ),
    "in a doubtful value": (
        WATER.format("write\n<function=x>\nfirst"),
        Seen(
            "",
            (
                Call(
                    "water",
                    (
                        '{"plant":"write\\n<function=x>\\nfirst\\n</parameter>\\n</function>\\n'
                        "</tool_call>"
                    ),
                    whole=False,
                ),
            ),
        ),
    ),
    "before the proof of a closer": (
        "<tool_call><function=water><parameter=plant>a</function>",
        Seen("", (Call("water", '{"plant":"a</function>', whole=False),)),
    ),
    "before the name": ("<tool_call><function=wat", Seen("<tool_call><function=wat")),
}


@pytest.mark.parametrize("case", CUT)
def test_a_cut_answer_is_not_completed(case: str) -> None:
    text, found = CUT[case]
    assert always(lambda: Parser(TOOLS), text, "length") == found


def test_a_doubt_that_grows_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.parsing.grammars.xml_values.TENTATIVE_LIMIT", 40)
    text = WATER.format("write\n<function=x>\nfirst") + "\nThis is more than fits."
    assert always(lambda: Parser(TOOLS), text).calls[0].whole is False


def test_a_file_streams() -> None:
    parser = Parser([tool("write", path={"type": "string"})])
    parser.feed("<tool_call>\n<function=write>\n<parameter=path>\n")
    for letter in "abc d":
        assert len(parser.feed(letter)) == 1
