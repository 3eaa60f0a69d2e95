"""What single families write beside the layout that their templates show."""

import pytest

from proxy.dialects import Parser
from proxy.parsing.dialect import ModelHint
from tests.dialects.table import FERN, LIST, TOOLS, calls, half, water
from tests.parsing.cuts import Call, Seen, always, tool

NOTE = [*TOOLS, tool("note", text={"type": "string"}), tool("save", arguments={"type": "object"})]
G, END = "<|tool_call>call:", "<tool_call|>"
IFM = "<ifm|tool_calls>\n"
PAIRS = "<arg_key>plant</arg_key>\n<arg_value>fern</arg_value>\n"
FERN_JSON = '{"name": "log_water", "arguments": {"plant": "fern"}}'


def note(text: str) -> Call:
    return Call("note", {"text": text})


CASES: dict[str, tuple[str, Seen]] = {
    "GLM: a newline before a value that ends in a carriage return": (
        "<tool_call>log_water\n<arg_key>plant</arg_key>\n<arg_value>\n\r</arg_value>\n</tool_call>",
        calls(water("\n\r")),
    ),
    "Gemma: no closing mark": (f'{G}log_water{{plant:<|"|>fern}}{END}', calls(FERN)),
    "Gemma: no closing mark, another call": (
        f'{G}log_water{{plant:<|"|>fern}}{END}\n{G}list_drones{{}}{END}',
        calls(FERN, LIST),
    ),
    "Gemma: its closers in a text": (
        f'{G}log_water{{plant:<|"|>a}}{END} b<|"|>}}{END}',
        calls(water(f"a}}{END} b")),
    ),
    "Gemma: no closing mark in a nested text": (
        f'{G}plan_route{{stops:[<|"|>a]}}{END}',
        calls(half("plan_route", f'{{"stops":["a]}}{END}')),
    ),
    "Gemma: another quote before the mark": (
        f"{G}log_water{{plant:'a b'<|\"|>}}{END}",
        calls(water("a b")),
    ),
    "Gemma: commas in a text without marks": (
        f"{G}log_water{{plant:a, b and c,millilitres:3}}{END}",
        calls(water("a, b and c", millilitres=3)),
    ),
    "Gemma: a key that is none": (
        f"{G}log_water{{plant:a, note: b}}{END}",
        calls(water("a, note: b")),
    ),
    "Gemma: any key where none is declared": (
        f"{G}list_drones{{x:a, b <c,y:d}}{END}",
        calls(Call("list_drones", {"x": "a, b <c", "y": "d"})),
    ),
    "Gemma: a text of several lines": (
        f"{G}log_water{{plant:\n\n# A 'b'\n\nc `d`, e.\n{END}",
        calls(water("\n\n# A 'b'\n\nc `d`, e.")),
    ),
    "Gemma: braces in a text without marks": (
        f"{G}log_water{{plant:a, {{b}} c}}{END}",
        calls(water("a, {b} c")),
    ),
    "Gemma: a text without marks breaks off": (
        f"{G}log_water{{plant:a, b",
        calls(half("log_water", '{"plant":"a"')),
    ),
    "Gemma: such a text breaks off behind its comma": (
        f"{G}log_water{{plant:a, b! c",
        calls(half("log_water", '{"plant":"a, b! c')),
    ),
    "Gemma: a comma before the end": (f"{G}log_water{{plant:fern,}}{END}", calls(FERN)),
    "Gemma: no call:": (f'<|tool_call>log_water{{plant:<|"|>fern<|"|>}}{END}', calls(FERN)),
    "Gemma: half of call:": (f'<|tool_call>:log_water{{plant:<|"|>fern<|"|>}}{END}', calls(FERN)),
    "Gemma: closers to spare": (
        f'{G}log_water{{plant:<|"|>fern<|"|>}}}}}}{END}{END}So.',
        calls(FERN, content="So."),
    ),
    "Gemma: the marker of a result": (
        f'{G}log_water{{plant:<|"|>fern<|"|>}}{END}<|tool_response>So.',
        calls(FERN, content="So."),
    ),
    "Gemma: another label of thoughts": ("<|channel>Hm.<channel|>So.", Seen("So.", (), "Hm.")),
    "Gemma: thoughts side by side": (
        "<|channel>Hm.<channel|><|channel>So.<channel|>\n<|channel>Ah.<channel|>Yes.",
        Seen("Yes.", (), "Hm.So.\nAh."),
    ),
    "thoughts around a call": (
        f"<think>a</think><tool_call>{FERN_JSON}</tool_call><think>b</think>Done.",
        Seen("Done.", (FERN,), "a\nb"),
    ),
    "MiniCPM5: CDATA": (
        (
            '<function name="note"><param name="text"><![CDATA[a <b> && </param> c]]></param>'
            "</function>"
        ),
        calls(note("a <b> && </param> c")),
    ),
    "MiniCPM5: CDATA in lines": (
        '<function name="note"><param name="text">\n<![CDATA[\na\n]]>\n</param></function>',
        calls(note("\na\n")),
    ),
    "MiniCPM5: its end in a text": (
        '<function name="note"><param name="text"><![CDATA[a]]> b]]></param></function>',
        calls(note("a]]> b")),
    ),
    "MiniCPM5: two sections": (
        '<function name="note"><param name="text"><![CDATA[a]]]]><![CDATA[>b]]></param></function>',
        calls(note("a]]>b")),
    ),
    "MiniCPM5: a typed section": (
        '<function name="log_water"><param name="millilitres"><![CDATA[3]]></param></function>',
        calls(Call("log_water", {"millilitres": 3})),
    ),
    "MiniCPM5: a section breaks off": (
        '<function name="note"><param name="text"><![CDATA[a]]',
        calls(half("note", '{"text":"a')),
    ),
    "DSML: tools that are not declared": (
        '<｜DSML｜ calls>\n<｜DSML｜ invoke name="fly">\n'
        '<｜DSML｜ parameter name="x" string="true">1</｜DSML｜ parameter>\n'
        "</｜DSML｜ invoke>\n"
        '<｜DSML｜ invoke name="land">\n'
        '<｜DSML｜ parameter name="y" string="true">2</｜DSML｜ parameter>\n'
        "</｜DSML｜ invoke>\n</｜DSML｜ calls>",
        calls(Call("fly", {"x": "1"}), Call("land", {"y": "2"})),
    ),
    "DSML: the first parameter without its mark": (
        (
            '<｜DSML｜calls>\n<｜DSML｜invoke name="log_water">\n'
            '<parameter name="plant" string="true">fern</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
            "</｜DSML｜calls>"
        ),
        calls(FERN),
    ),
    "DSML: the second": (
        (
            '<｜DSML｜calls>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern</｜DSML｜parameter>\n'
            '<parameter name="millilitres" string="false">3</parameter>\n</｜DSML｜invoke>\n'
            "</｜DSML｜calls>"
        ),
        calls(water(millilitres=3)),
    ),
    "GigaChat: a message before": (
        f"Hi<|message_sep|>\n\nfunction call<|role_sep|>\n{FERN_JSON}<|message_sep|>",
        calls(FERN, content="Hi"),
    ),
    "GigaChat: its own header": ("assistant<|role_sep|>\nHi<|message_sep|>", Seen("Hi")),
    "K2-Horizon: JSON in the outer tag": (
        f"{IFM}<ifm|tool_call>{FERN_JSON}</ifm|tool_call>\n</ifm|tool_calls>",
        calls(FERN),
    ),
    "K2-Horizon: several": (
        (
            f"{IFM}<ifm|tool_call>{FERN_JSON}</ifm|tool_call>\n"
            f"<ifm|tool_call>{FERN_JSON}</ifm|tool_call>\n</ifm|tool_calls>"
        ),
        calls(FERN, FERN),
    ),
    "Laguna: a call in <user>": (f"Hi<user>log_water\n{PAIRS}</user>", calls(FERN, content="Hi")),
    "Laguna: JSON in <user>": (f"Hi<user>\n{FERN_JSON}\n</user>", calls(FERN, content="Hi")),
    "Laguna: two as JSON": (
        f"<user>{FERN_JSON}</user>\n<user>{FERN_JSON}</user>",
        calls(FERN, FERN),
    ),
    "Laguna: a call and text": (
        f"<user>log_water\n{PAIRS}</user>\nSo.",
        calls(FERN, content="So."),
    ),
    "Laguna: a name alone": ("<user>list_drones</user>", Seen("<user>list_drones</user>")),
    "Laguna: JSON that is no call": (
        '<user>{"name": "Ann"}</user>',
        Seen('<user>{"name": "Ann"}</user>'),
    ),
    "Laguna: a tool that is not declared": (
        f"<user>fly\n{PAIRS}</user>",
        Seen(f"<user>fly\n{PAIRS}</user>"),
    ),
    "Laguna: JSON of such a tool": (
        '<user>{"name": "fly", "arguments": {}}</user>',
        Seen('<user>{"name": "fly", "arguments": {}}</user>'),
    ),
    "Inkling: text and a call": (
        (
            f"<|content_text|>Hi<|end_message|>"
            f"<|message_model|>log_water<|content_invoke_tool_json|>"
            f"{FERN_JSON.replace('arguments', 'args')}<|end_message|>"
        ),
        calls(FERN, content="Hi"),
    ),
    "Inkling: its first marker in the prompt": (
        (
            f"log_water<|content_invoke_tool_json|>{FERN_JSON.replace('arguments', 'args')}<|"
            f"end_message|>"
        ),
        calls(FERN),
    ),
    "Inkling: a name alone": ("list_drones <|content_text|>", Seen("list_drones <|content_text|>")),
    "Inkling: a text for a tool": (
        '<|message_model|>note<|content_invoke_tool_text|>a "b"\nc<|end_message|>',
        calls(note('a "b"\nc')),
    ),
    "Inkling: such a text breaks off": (
        "<|message_model|>note<|content_invoke_tool_text|>a<|end_",
        calls(half("note", '{"text":"a')),
    ),
    "Inkling: a tool with more arguments": (
        "<|message_model|>log_water<|content_invoke_tool_text|>a<|end_message|>",
        Seen("log_water<|content_invoke_tool_text|>a"),
    ),
    "Inkling: an error": ("<|message_model|><|content_tool_error|>no<|end_message|>", Seen("no")),
    "Muse: a token in the name": (
        (
            " to=log_water<|message|><atem:function_calls>\n"
            '<atem:invoke name="log_water<|message|>">\n'
            '<atem:parameter name="plant">fern</atem:parameter>\n</atem:invoke>\n'
            "</atem:function_calls><|eot|>"
        ),
        calls(FERN),
    ),
    "Muse: a token in place of a quote": (
        (
            "<atem:function_calls>\n"
            '<atem:invoke name="log_<|message|>water<|message|>'
            '<atem:parameter name="plant">fern</atem:parameter>\n</atem:invoke>\n'
            "</atem:function_calls>"
        ),
        calls(FERN),
    ),
    "Muse: a bare header": (
        (
            '<|message|><atem:function_calls>\n<atem:invoke name="list_drones">\n</atem:invoke>\n'
            "</atem:function_calls><|start|>assistant to=user<|message|>Done<|eot|>"
        ),
        calls(LIST, content="Done"),
    ),
    "Muse: a header quoted in thoughts": (
        " to=self<|message|>Use `<|start|>` here.",
        Seen("", (), "Use `<|start|>` here."),
    ),
    "Granite: labels with nothing between": (
        "Here's my thought process:Here is my response: a",
        Seen(" a"),
    ),
    "Phi: no array": (f"functools{FERN_JSON}", calls(FERN)),
    "all arguments in one parameter": (
        (
            '<tool_call>\n<function=log_water>\n<parameter=arguments>\n{"plant": "fern"}\n'
            "</parameter>\n</function>\n</tool_call>"
        ),
        calls(FERN),
    ),
    "all in one, and more": (
        (
            '<tool_call>\n<function=log_water>\n<parameter=input>\n{"plant": "fern"}\n'
            "</parameter>\n<parameter=millilitres>\n3\n</parameter>\n</function>\n</tool_call>"
        ),
        calls(water(millilitres=3)),
    ),
    "all in one: text": (
        (
            "<tool_call>\n<function=log_water>\n<parameter=input>\nfern\n</parameter>\n"
            "</function>\n</tool_call>"
        ),
        calls(Call("log_water", {"input": "fern"})),
    ),
    "all in one: text behind it": (
        (
            '<tool_call>\n<function=log_water>\n<parameter=input>\n{"plant": "fern"} x\n'
            "</parameter>\n</function>\n</tool_call>"
        ),
        Seen("x\n</parameter>\n</function>\n</tool_call>", (half("log_water", '{"plant":"fern"'),)),
    ),
    "all in one: JSON": (
        (
            '<tool_call>{"name": "log_water", "arguments": {"properties": {"plant": '
            '"fern"}}}</tool_call>'
        ),
        calls(FERN),
    ),
    "all in one: JSON breaks off": (
        '<tool_call>{"name": "log_water", "arguments": {"input": {"plant": "fe',
        calls(half("log_water", '{"plant":"fe')),
    ),
    "all in one: JSON before the name": (
        (
            '<tool_call>{"arguments": {"parameters": {"plant": "fern"}}, "name": '
            '"log_water"}</tool_call>'
        ),
        calls(FERN),
    ),
    "all in one: Python": (
        '<|tool_call_start|>[log_water(args={"plant": "fern"})]<|tool_call_end|>',
        calls(FERN),
    ),
    "all in one: Python breaks off": (
        '<|tool_call_start|>[log_water(args={"plant": ',
        calls(half("log_water", '{"plant":')),
    ),
    "all in one: a parameter of that name": (
        '<tool_call>{"name": "save", "arguments": {"arguments": {"a": 1}}}</tool_call>',
        calls(Call("save", {"arguments": {"a": 1}})),
    ),
    "all in one: a schema is none": (
        '{"name": "log_water", "parameters": {"properties": {"plant": "x"}, "type": "object"}}',
        Seen(
            '{"name": "log_water", "parameters": {"properties": {"plant": "x"}, "type": "object"}}'
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_table(case: str) -> None:
    text, found = CASES[case]
    assert always(lambda: Parser(NOTE), text) == found


FORCED = [
    ("Here's my thought process: a Here's my response: b", Seen(" b", (), " a ")),
    ("Here is my thought process: a Here's my response: b", Seen(" b", (), " a ")),
    ("Here is my thought process: a</think>b", Seen("b", (), " a")),
    ("So here is my response: a</think>b", Seen("b", (), "So here is my response: a")),
    ("thought\na<channel|>b", Seen("b", (), "a")),
    ("thoughts\na<channel|>b", Seen("b", (), "thoughts\na")),
]


@pytest.mark.parametrize(("text", "found"), FORCED)
def test_labels_of_thoughts_that_the_prompt_has_opened(text: str, found: Seen) -> None:
    assert always(lambda: Parser(NOTE, thinking="forced"), text) == found


HUNYUAN = "<think>\na\n</think>\n<answer>\nb\n</answer>"
HINTED = [
    (ModelHint(model="Hunyuan-A13B"), HUNYUAN, Seen("b", (), "a")),
    (ModelHint(template="{{ '</think>\n<answer>' }}"), HUNYUAN, Seen("b", (), "a")),
    (ModelHint(template="<think>"), HUNYUAN, Seen("<answer>\nb\n</answer>", (), "a")),
    (
        ModelHint(model="Hunyuan-A13B"),
        f"<think>\na\n</think>\n<answer>b <tool_calls>[{FERN_JSON}]</tool_calls>\n</answer>",
        Seen("b ", (FERN,), "a"),
    ),
    (
        ModelHint(model="granite-3.2-8b"),
        "Here's my thought process:\na\nHere's my response:\nb",
        Seen("\nb", (), "a"),
    ),
    (ModelHint(model="Ling-3.0"), "Hello.<|role_end|>", Seen("Hello.")),
    (ModelHint(model="qwen3-8b"), "Hello.<|im_end|>\n", Seen("Hello.")),
    (
        ModelHint(model="qwen3-8b"),
        "The token <|im_end|> ends it.",
        Seen("The token <|im_end|> ends it."),
    ),
    (ModelHint(model="Llama-3.3"), "Hello.<|im_end|>", Seen("Hello.<|im_end|>")),
]


@pytest.mark.parametrize(("hint", "text", "found"), HINTED)
def test_what_the_model_is_known_for(hint: ModelHint, text: str, found: Seen) -> None:
    seen = always(lambda: Parser(NOTE, hint=hint), text)
    assert (seen.content.strip(), seen.calls, seen.thoughts) == (
        found.content.strip(),
        found.calls,
        found.thoughts,
    )
