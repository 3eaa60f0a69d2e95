"""The edge cases of our catalogue, by their number, each with what is right."""

import json
from collections.abc import Callable

import pytest

from proxy.dialects import Parser, parse
from proxy.parsing.events import CallArguments, CallStart, Content
from tests.dialects.renderers import WRITTEN
from tests.dialects.table import FERN, LIST, TOOLS, calls, half, read, water
from tests.parsing.cuts import Call, Seen, always, events_of, seen, tool

DEEPSEEK = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{}<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
    "<｜tool▁calls▁end｜>"
)
KIMI = "<|tool_call_begin|>{}<|tool_call_argument_begin|>{}<|tool_call_end|>"
CALL = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'


def qwen(**values: str) -> str:
    inside = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<tool_call>\n<function=log_water>\n{inside}</function>\n</tool_call>"


def hermes(body: str) -> str:
    return f"<tool_call>\n{body}\n</tool_call>"


FERN_JSON = '{"name": "log_water", "arguments": {"plant": "fern"}}'

NO_OPENER = [
    'call:log_water{plant:<|"|>fern<|"|>}<tool_call|>',
    f"[{FERN_JSON}]</TOOLCALL>",
    f"[{FERN_JSON}]</tool_calls>",
    f"[{FERN_JSON}]<|/tool_call|>",
    f"[{FERN_JSON}][/TOOL_CALLS]",
    f"{FERN_JSON}</longcat_tool_call>",
    f"{FERN_JSON}</iquest_tool_call>",
    f"{FERN_JSON}<|action_end|>",
    (
        '[{"tool_call_id": "0", "tool_name": "log_water", "parameters": {"plant": '
        '"fern"}}]<|END_ACTION|>'
    ),
    '[log_water(plant="fern")]<|tool_call_end|>',
    '[log_water(plant="fern")]<|python_end|>',
    'log_water[ARGS]{"plant": "fern"}',
    'functions.log_water:0{"plant": "fern"}',
    'functions.log_water:0<|tool_call_argument_begin|>{"plant": "fern"}<|tool_call_end|>',
    'log_water<｜tool▁sep｜>{"plant": "fern"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    'function<｜tool▁sep｜>log_water\n```json\n{"plant": "fern"}\n```<｜tool▁call▁end｜>',
]

CASES: dict[str, list[tuple[str, Seen]]] = {
    "01 what stands behind the lost opener proves the call": [
        (text, calls(FERN)) for text in NO_OPENER
    ]
    + [(text + "\nSo.", calls(FERN, content="So.")) for text in NO_OPENER],
    "01 and only of a declared tool": [
        (text, Seen(text)) for text in (one.replace("log_water", "kite") for one in NO_OPENER)
    ],
    "01 ids and names are words": [
        (text, Seen(text))
        for text in (
            "functions.log_water:0 is an id",
            "log_water[ARGS] is how it begins",
            "functions.log_water: waters",
            "log_water[0]",
        )
    ],
    "01 the opener is missing": [
        (qwen(plant="fern").removeprefix("<tool_call>\n"), calls(FERN)),
        ("<function=kite></function>", Seen("<function=kite></function>")),
    ],
    "02 closers are missing": [
        (qwen(plant="fern").partition("</function>")[0], calls(FERN)),
        (hermes(FERN_JSON).removesuffix("}\n</tool_call>"), calls(FERN)),
    ],
    "03 it stops before the name": [
        (text, Seen(text))
        for text in (
            "<tool_call>",
            "<tool_call>\n<function=",
            "[TOOL_CALLS]",
            "<|tool_call_begin|>functions.",
            '<tool_call>\n{"name": "lo',
        )
    ],
    "04 text between calls": [(f"a\n{CALL}\nb\n{CALL}\nc", Seen("a\n\nb\n\nc", (LIST, LIST)))],
    "05 closers inside a value": [
        (qwen(plant=text), calls(water(text)))
        for text in ("a </parameter> b", "a\n</function>\nb", "<tool_call> x", "<parameter=colour>")
    ],
    "06 markers inside JSON strings": [
        (render([("log_water", {"plant": text})]), calls(water(text)))
        for render in (
            WRITTEN["hermes"].render,
            WRITTEN["kimi_k2"].render,
            WRITTEN["deepseek_v31"].render,
        )
        for text in ("</tool_call> x", "<|tool_call_end|>", "<｜tool▁call▁end｜>", "```\n")
    ],
    "07 arguments before the name": [
        (hermes('{"arguments": {"plant": "fern"}, "name": "log_water"}'), calls(FERN))
    ],
    "08 arguments of another type": [
        (hermes(f'{{"name": "list_drones"{rest}}}'), calls(LIST))
        for rest in (
            "",
            ', "arguments": null',
            ', "arguments": ""',
            ', "arguments": "{}"',
            ', "arguments": {}',
        )
    ]
    + [(hermes('{"name": "log_water", "arguments": "{\\"plant\\": \\"fern\\"}"}'), calls(FERN))],
    "09 damaged JSON": [
        (hermes(text), calls(FERN))
        for text in (
            FERN_JSON[:-1],
            FERN_JSON + "}",
            FERN_JSON.replace("}}", ",},}"),
            FERN_JSON.replace('"', "'"),
            FERN_JSON.replace('"plant"', "plant"),
        )
    ],
    "10 something else inside the tag": [
        (hermes(text), Seen(hermes(text)))
        for text in ("see above", "5", "{}", '{"a": 1}', "[]", "<b>x</b>")
    ],
    "10 no arguments in their place": [
        (text, Seen(text))
        for inside in ("...", "fern", '"plant"', '"plant": ', "<args>", "5", ": 1")
        for text in (
            hermes(f'{{"name": "log_water", "arguments": {{{inside}}}}}'),
            f"[TOOL_CALLS]log_water[ARGS]{{{inside}}}",
            KIMI.format("log_water", f"{{{inside}}}"),
            f"<function=log_water>{{{inside}}}</function>",
        )
    ]
    + [
        (text, Seen(text))
        for text in (
            f"<|tool_call_start|>[log_water({inside})]<|tool_call_end|>"
            for inside in ("...", "plant", "plant=")
        )
    ],
    "11 a tool that nobody knows": [
        (hermes(FERN_JSON.replace("log_water", "kite")), calls(Call("kite", {"plant": "fern"}))),
        (FERN_JSON.replace("log_water", "kite"), Seen(FERN_JSON.replace("log_water", "kite"))),
    ],
    "12 null": [
        (qwen(plant="null"), calls(water("null"))),
        (
            (
                "<tool_call><function=set_alarm><parameter=label>null</parameter></function>"
                "</tool_call>"
            ),
            calls(Call("set_alarm", {"label": None})),
        ),
        (
            "<tool_call><function=set_alarm><parameter=label>up</parameter></function></tool_call>",
            calls(Call("set_alarm", {"label": "up"})),
        ),
    ],
    "13 booleans": [
        (qwen(fertilised=text), calls(Call("log_water", {"fertilised": value})))
        for text, value in (("True", True), ("FALSE", False), ("1", True), ("yes", "yes"))
    ],
    "14 no finite number": [
        (
            (
                f"<tool_call><function=plan_route><parameter=max_km>{text}</parameter></function>"
                f"</tool_call>"
            ),
            calls(Call("plan_route", {"max_km": text})),
        )
        for text in ("NaN", "Infinity", "-Infinity", "1e999")
    ],
    "15 huge integers": [
        (qwen(millilitres=str(2**80 + 1)), calls(Call("log_water", {"millilitres": 2**80 + 1}))),
        (
            hermes(f'{{"name": "log_water", "arguments": {{"millilitres": {2**80 + 1}}}}}'),
            calls(Call("log_water", {"millilitres": 2**80 + 1})),
        ),
    ],
    "16 Python literals": [
        (
            (
                "<tool_call><function=plan_route><parameter=stops>['a', 'b']</parameter>"
                "<parameter=avoid>{'x': None}</parameter></function></tool_call>"
            ),
            calls(Call("plan_route", {"stops": ["a", "b"], "avoid": {"x": None}})),
        )
    ],
    "18 newlines around values": [
        (qwen(plant="\n  a\n"), calls(water("\n  a\n"))),
        (
            (
                '<minimax:tool_call><invoke name="write_note"><parameter name="body">x\n'
                "</parameter></invoke></minimax:tool_call>"
            ),
            calls(Call("write_note", {"body": "x\n"})),
        ),
    ],
    "19 a key twice": [
        (hermes('{"name": "log_water", "arguments": {"plant": "a", "plant": "fern"}}'), calls(FERN))
    ],
    "20 a call inside thoughts": [
        (f"<think>a\n{CALL}</think>", calls(LIST, thoughts="a")),
        (f"<think>{CALL} no</think>b", Seen("b", (), f"{CALL} no")),
        (f"<think>{CALL}\nso</think>{CALL}", calls(LIST, thoughts=f"{CALL}\nso")),
        ("<think>the <tool_call> tag</think>b", Seen("b", (), "the <tool_call> tag")),
    ],
    "22 half a marker at the end": [
        (text, Seen(text))
        for text in (
            "3 <",
            "a <tool_c",
            "b [TOOL_",
            "c <｜tool",
            "d ◁thi",
            "e ```",
            "f <|",
            "g func",
            "Act",
        )
    ],
    "23 markers in prose and code": [
        (text, Seen(text))
        for text in (
            "The <tool_call> tag, `<function=log_water>` and [TOOL_CALLS] too.",
            f"```\n{CALL}\n```\nis how.",
            f"`{CALL}`",
        )
    ],
    "24 JSON that is an answer": [
        (text, Seen(text))
        for text in (
            '{"name": "Ada"}',
            '[{"name": "Ada", "arguments": 3}]',
            '{"name": "log_water"}',
            "[1, 2]",
        )
    ],
    "25 blanks of a plain answer": [
        (text, Seen(text)) for text in ("\n", " a \n\n", "\n\n  code", "\t")
    ],
    "28 markers in pieces": [
        (DEEPSEEK.format("list_drones", "{}"), calls(LIST)),
        (KIMI.format("functions.list_drones:0", "{}"), calls(LIST)),
    ],
    "32 empty arguments": [
        (DEEPSEEK.format("list_drones", text), calls(LIST)) for text in ("", " ", "{}", "{ }")
    ]
    + [(KIMI.format("functions.list_drones:1", text), calls(LIST)) for text in ("", "{}")],
    "33 damaged ids": [
        (KIMI.format(text, '{"plant": "fern"}'), calls(FERN))
        for text in (
            "functions.log_water:0",
            "log_water:0",
            "functions_log_water_1",
            "functionslog_water5",
            "log_water",
        )
    ],
    "34 the layout of a sibling": [
        (
            DEEPSEEK.format("function", 'log_water\n```json\n{"plant": "fern"}\n```').replace(
                "function<｜tool▁sep｜>log_water", "function<｜tool▁sep｜>log_water"
            ),
            calls(FERN),
        ),
        (DEEPSEEK.format("log_water", '```json\n{"plant": "fern"}\n```'), calls(FERN)),
        (
            '<tool_call>\n<function=log_water>\n{"plant": "fern"}\n</function>\n</tool_call>',
            calls(FERN),
        ),
    ],
    "35 never an empty call for a body that had text": [
        (text, Seen(text))
        for text in (
            "<tool_call><function=log_water>fern</function></tool_call>",
            '<｜DSML｜invoke name="log_water">\nfern\n</｜DSML｜invoke>',
            DEEPSEEK.format("log_water", "fern"),
            KIMI.format("functions.log_water:0", "fern"),
        )
    ],
    "36 turn tokens after a call": [
        (CALL + token, calls(LIST))
        for token in (
            "</s>",
            "<|im_end|>",
            "<|eom_id|>",
            "<|eot_id|>",
            "<|return|>",
            "<｜end▁of▁sentence｜>",
            "<|endoftext|>",
        )
    ],
    "42 what llama-server dies on": [
        (qwen(plant="fern").replace("</parameter>", "</parameter>\n</parameter>"), calls(FERN)),
        (f"Hm.\n{CALL}\nDone.", Seen("Hm.\n\nDone.", (LIST,))),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_edge_case(case: str) -> None:
    for text, found in CASES[case]:
        assert read(text) == found, text


def test_17_references_and_enums() -> None:
    schema = {
        "type": "object",
        "$defs": {"Place": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "properties": {
            "place": {"$ref": "#/$defs/Place"},
            "level": {"enum": [1, 2]},
            "mode": {"const": True},
            "free": {},
        },
    }
    tools = [{"type": "function", "function": {"name": "go", "parameters": schema}}]
    text = (
        '<tool_call><function=go><parameter=place>{"x": 1}</parameter>'
        "<parameter=level>2</parameter><parameter=mode>true</parameter>"
        "<parameter=free>7</parameter></function></tool_call>"
    )
    found = always(lambda: Parser(tools), text)
    assert found.calls == (Call("go", {"place": {"x": 1}, "level": 2, "mode": True, "free": "7"}),)


@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think>b",
        " <think>\na\n</think></think>\nb",
        "a</think>\nb",
        "<think>a</think> \n</think>b",
    ],
)
def test_21_thoughts_that_the_prompt_has_opened(text: str) -> None:
    assert read(text, thinking="forced") == Seen("b", (), "a")


@pytest.mark.parametrize("tools", [[], None, [{}]])
def test_26_without_tools_nothing_is_a_call(tools: object) -> None:
    text = CALL + DEEPSEEK + "[TOOL_CALLS]list_drones[ARGS]{}" + qwen(plant="a")
    assert always(lambda: Parser(tools), text) == Seen(text)


def test_27_one_piece_or_many() -> None:
    text = f"<think>a</think>So:\n{CALL}\n{qwen(plant='fern', millilitres='3')}\nDone."
    assert events_of(Parser(TOOLS), [text]) == events_of(Parser(TOOLS), text)


def test_29_halves_of_a_letter() -> None:
    assert seen(events_of(Parser(TOOLS), ["a\ud83d", "\ude00b"])) == Seen("a😀b")


@pytest.mark.parametrize("name", WRITTEN)
def test_30_what_leaves_is_always_a_part_of_the_arguments(name: str) -> None:
    meant = {"path": 'a"\\\n', "body": "x\ty", "append": True}
    parser, sent = Parser(TOOLS), ""
    whole = json.dumps(meant, ensure_ascii=False, separators=(",", ":"))
    text = WRITTEN[name].render([("write_note", meant)])
    for event in [*(event for letter in text for event in parser.feed(letter)), *parser.close()]:
        sent += event.text if isinstance(event, CallArguments) else ""
        assert whole.startswith(sent)
    assert sent == whole


def test_31_a_long_value_is_read_once() -> None:
    """How long it takes is measured by the benchmark; here it leaves as it comes."""
    parser = Parser(TOOLS)
    parser.feed("<tool_call>\n<function=write_note>\n<parameter=body>\n")
    assert all(len(parser.feed("abcd ")) == 1 for _ in range(1000))


@pytest.mark.parametrize("finish", ["length", "error"])
def test_37_a_cut_call_stays_open(finish: str) -> None:
    for name, arguments in (
        ("qwen3_coder", '{"plant":"fe'),
        ("hermes", '{"plant":"fe'),
        ("glm", '{"plant":"fe'),
        ("kimi_k2", '{"plant":"fe'),
    ):
        text = WRITTEN[name].render([("log_water", {"plant": "fern"})]).partition("rn")[0]
        assert read(text, finish=finish) == calls(half("log_water", arguments)), name


def test_38_each_choice_has_a_parser() -> None:
    first, second = Parser(TOOLS), Parser(TOOLS)
    first.feed("<tool_call>")
    assert second.feed("b") == [Content("b")]
    assert first.close() == [Content("<tool_call>")]


def test_39_content_is_null_beside_calls_alone() -> None:
    assert parse(CALL, tools=TOOLS)["content"] is None
    assert parse("", tools=TOOLS)["content"] == ""


def test_40_indexes_count_up_and_names_come_once() -> None:
    events = events_of(Parser(TOOLS), CALL * 2 + KIMI.format("functions.list_drones:7", "{}"))
    starts = [event for event in events if isinstance(event, CallStart)]
    assert [(event.index, event.id, event.name) for event in starts] == [
        (0, None, "list_drones"),
        (1, None, "list_drones"),
        (2, "functions.list_drones:7", "list_drones"),
    ]


def test_41_calls_that_the_backend_has_parsed() -> None:
    """Those in the thoughts were rehearsals then.

    (Indexes over both kinds are given where both meet: `tests/backends/test_native_calls.py`.)
    """
    parser = Parser(TOOLS)
    parser.feed_reasoning(CALL)
    parser.native_call_started()
    assert seen(parser.feed(CALL) + parser.close()) == Seen("", (LIST,), "")


ODD: list[Callable[[], object]] = [
    lambda: tool("f", a={"type": "array"}),
    lambda: tool("f", a={"type": ["string", "null"]}),
    lambda: tool("f", a={"anyOf": [{"type": "string"}, 5, None]}),
    lambda: tool("f", a={"$ref": "#/nowhere"}),
    lambda: tool("f", a=True),
    lambda: {"function": {"name": "f", "parameters": {"$ref": "#"}}},
]


@pytest.mark.parametrize("odd", ODD)
def test_43_no_schema_breaks_anything(odd: Callable[[], object]) -> None:
    text = "<tool_call><function=f><parameter=a>x</parameter></function></tool_call>"
    assert always(lambda: Parser([odd()]), text) == Seen("", (Call("f", {"a": "x"}),))


@pytest.mark.parametrize("name", WRITTEN)
def test_44_whole_calls_have_arguments_that_parse(name: str) -> None:
    """So no history that comes back can hold what a template dies on."""
    text = WRITTEN[name].render([("write_note", {"path": "\x00\u2028", "body": '"}'})])
    (call,) = parse(text, tools=TOOLS)["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"path": "\x00\u2028", "body": '"}'}
