"""A call that broke off is never run: whole calls have all their arguments, whatever is damaged
and wherever the text ends.
"""

from typing import Any

import pytest

from proxy.dialects import Parser
from tests.dialects.table import FERN, LIST, TOOLS, Case, calls, case, half, read, water
from tests.parsing.cuts import Call, Seen, always, tool

BASH = [
    *TOOLS,
    tool("bash", command={"type": "string"}, timeout={"type": "integer"}),
    tool("mix", text={"type": "string"}, more={}),
]
LFM, END = "<|tool_call_start|>", "<|tool_call_end|>"
DRONES = '<tool_call>{"name": "list_drones", "arguments": {}}</tool_call>'


def bash(command: str, **more: Any) -> Call:
    return Call("bash", {"command": command, **more})


def hermes(arguments: str) -> str:
    return f'<tool_call>{{"name": "mix", "arguments": {arguments}}}</tool_call>{DRONES}'


def mix(**arguments: Any) -> Call:
    return Call("mix", arguments)


CUT_OFF = [
    case(name, text, found, finish)
    for finish in ("stop", "length")
    for name, text, found in (
        (
            "bare, at the opening brace",
            '{"name": "bash", "arguments": {',
            Seen('{"name": "bash", "arguments": {'),
        ),
        (
            "bare, in a key",
            '{"name": "bash", "arguments": {"comm',
            Seen('{"name": "bash", "arguments": {"comm'),
        ),
        (
            "in tags, behind the name",
            '<tool_call>{"name": "bash"',
            Seen('<tool_call>{"name": "bash"'),
        ),
        (
            "in tags, at the next key",
            '<tool_call>{"name": "bash", "argu',
            Seen('<tool_call>{"name": "bash", "argu'),
        ),
        (
            "in tags, at the opening brace",
            '<tool_call>{"name": "bash", "arguments": {',
            Seen('<tool_call>{"name": "bash", "arguments": {'),
        ),
        (
            "a comma behind a value",
            f'{DRONES[:-12].replace("list_drones", "bash")[:-4]}{{"command": "ls",',
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "in a later key",
            '<tool_call>{"name": "bash", "arguments": {"command": "ls", "tim',
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "in a number",
            '<tool_call>{"name": "bash", "arguments": {"timeout": 1',
            calls(half("bash", '{"timeout":')),
        ),
        (
            "in a literal",
            '<tool_call>{"name": "mix", "arguments": {"more": nul',
            calls(half("mix", '{"more":')),
        ),
        (
            "in a list",
            '<tool_call>{"name": "mix", "arguments": {"more": ["a"',
            calls(half("mix", '{"more":["a"')),
        ),
        (
            "in an inner key",
            '<tool_call>{"name": "mix", "arguments": {"more": {"a": "b", "c',
            calls(half("mix", '{"more":{"a":"b"')),
        ),
        (
            "flat arguments, in a key",
            '<tool_call>{"name": "bash", "command": "ls", "tim',
            Seen('<tool_call>{"name": "bash", "command": "ls", "tim'),
        ),
        ("Python, in a number", f"{LFM}[bash(timeout=1", calls(half("bash", '{"timeout":'))),
        (
            "Python, a comma behind a value",
            f'{LFM}[bash(command="ls", ',
            calls(half("bash", '{"command":"ls"')),
        ),
        ("Python, in a list", f'{LFM}[mix(more=["a"', calls(half("mix", '{"more":["a"'))),
        (
            "Gemma, in a number",
            "<|tool_call>call:bash{timeout:1",
            calls(half("bash", '{"timeout":')),
        ),
        (
            "Gemma, a comma behind a value",
            '<|tool_call>call:bash{command:<|"|>ls<|"|>,',
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "tags, in the next parameter's",
            "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n<param",
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "tags, in the next parameter's name",
            "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n<parameter=tim",
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "GLM, in the next key",
            "<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n<arg_key>tim",
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "GLM, before the next value",
            (
                "<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n"
                "<arg_key>timeout</arg_key>\n<arg_"
            ),
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "Kimi K3, in the next argument's tag",
            (
                '<|open|>tools<|sep|><|open|>call tool="bash"<|sep|>'
                '<|open|>argument key="command" type="string"<|sep|>ls<|close|>argument<|sep|>'
                "<|open|>arg"
            ),
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "MiniMax, in a closing tag",
            (
                "]<]minimax[>[<tool_call>]<]minimax[>[<invoke "
                'name="bash">]<]minimax[>[<command>ls]<]minimax[>[</comm'
            ),
            calls(half("bash", '{"command":"ls')),
        ),
        (
            "MiniMax, in the next element",
            (
                "]<]minimax[>[<tool_call>]<]minimax[>[<invoke "
                'name="bash">]<]minimax[>[<command>ls]<]minimax[>[</command>]<]minimax[>[<ti'
            ),
            calls(half("bash", '{"command":"ls"')),
        ),
        (
            "MiniMax, in a nested element",
            (
                "]<]minimax[>[<tool_call>]<]minimax[>[<invoke "
                'name="mix">]<]minimax[>[<more>]<]minimax[>[<item>a]<]minimax[>[</item>]<]min'
            ),
            calls(half("mix", '{"more":')),
        ),
    )
]

COMPLETED = [
    case(
        "bare, both braces missing",
        '{"name": "bash", "arguments": {"command": "ls"',
        calls(bash("ls")),
    ),
    case(
        "a comma behind the arguments",
        '<tool_call>{"name": "bash", "arguments": {"command": "ls"},',
        calls(bash("ls")),
    ),
    case(
        "a key behind the arguments",
        '<tool_call>{"name": "bash", "arguments": {"command": "ls"}, "id',
        calls(bash("ls")),
    ),
    case(
        "a literal", '<tool_call>{"name": "mix", "arguments": {"more": true', calls(mix(more=True))
    ),
    case("flat arguments", '<tool_call>{"name": "bash", "command": "ls"', calls(bash("ls"))),
    case(
        "tags, half of a closing one",
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</fu",
        calls(bash("ls")),
    ),
    case(
        "tags, nothing",
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n<",
        calls(bash("ls")),
    ),
    case(
        "a name and its closing tag", '<tool_call>{"name": "list_drones"</tool_call>', calls(LIST)
    ),
]

DAMAGED = [
    case("JSON: a time", hermes('{"text": 15:30}'), calls(mix(text="15:30"), LIST)),
    case(
        "JSON: a time, and more",
        hermes('{"more": 15:30, "text": "a"}'),
        calls(mix(more="15:30", text="a"), LIST),
    ),
    case(
        "JSON: words", hermes('{"text": big green fern}'), calls(mix(text="big green fern"), LIST)
    ),
    case(
        "JSON: a time before the closing tag",
        '<tool_call>{"name": "mix", "arguments": {"text": 15:30</tool_call>',
        calls(mix(text="15:30")),
    ),
    case(
        "JSON: a value that cannot be read",
        hermes('{"text": f(x)}'),
        Seen("(x)}}</tool_call>", (half("mix", '{"text":"f"'), LIST)),
    ),
    case(
        "JSON: the next in a list",
        (
            '<|START_ACTION|>[{"tool_name": "mix", "parameters": {"text": 15:30}}, {"tool_name": '
            '"list_drones", "parameters": {}}]<|END_ACTION|>'
        ),
        calls(mix(text="15:30"), LIST),
    ),
    case(
        "JSON: quotes before a brace",
        hermes('{"text": "awk "{x}" y"}'),
        calls(mix(text='awk "{x}" y'), LIST),
    ),
    case(
        "JSON: a quote, a brace and text",
        hermes('{"text": "a "b"} c"}'),
        calls(mix(text='a "b"} c'), LIST),
    ),
    case(
        "JSON: a quote and more objects",
        (
            '[TOOL_CALLS][{"name": "mix", "arguments": {"text": "a "b"}}, {"name": "list_drones", '
            '"arguments": {}}]'
        ),
        calls(mix(text='a "b'), LIST),
    ),
    case(
        "JSON: closed before its arguments",
        '<tool_call>{"name": "mix"}, "arguments": {"text": "a"}}</tool_call>',
        Seen('<tool_call>{"name": "mix"}, "arguments": {"text": "a"}}</tool_call>'),
    ),
    case(
        "JSON: closed by a bracket",
        '<tool_call>{"name": "mix"]</tool_call>',
        Seen('<tool_call>{"name": "mix"]</tool_call>'),
    ),
    case(
        "Python: a quote, a bracket and more",
        f'{LFM}[bash(command="echo "hi") && rm x")]{END}',
        calls(bash('echo "hi") && rm x')),
    ),
    case(
        "Python: a statement behind it",
        f'{LFM}[bash(command="echo "hi"); rm x")]{END}',
        calls(bash('echo "hi"); rm x')),
    ),
    case(
        "Python: a call in a text",
        f'{LFM}[bash(command="print("hi")")]{END}',
        calls(bash('print("hi")')),
    ),
    case(
        "Python: a call in a text, and a keyword",
        f'{LFM}[bash(command="print("hi"), x=1")]{END}',
        calls(bash('print("hi"), x=1')),
    ),
    case(
        "Python: several calls in a text",
        f'{LFM}[bash(command="f("a"), bash(b="c")")]{END}',
        calls(bash('f("a"), bash(b="c")')),
    ),
    case(
        "Python: no quote before",
        f'{LFM}[bash(command="ls") && rm x")]{END}',
        calls(bash('ls") && rm x')),
    ),
    case(
        "Python: no end",
        f'{LFM}[bash(command="ls") && rm x)]{END}',
        calls(half("bash", '{"command":"ls\\") && rm x)]' + END)),
    ),
    case(
        "Python: two calls",
        f'{LFM}[bash(command="ls"), list_drones()]{END}',
        calls(bash("ls"), LIST),
    ),
    case(
        "Python: two calls, a semicolon",
        f'{LFM}[bash(command="ls"); list_drones()]{END}',
        calls(bash("ls"), LIST),
    ),
    case(
        "Python: two lines", f'{LFM}bash(command="ls")\nlist_drones(){END}', calls(bash("ls"), LIST)
    ),
    case("Python: another token", f'{LFM}[bash(command="ls")<|im_end|>', calls(bash("ls"))),
    case("Python: a fence", f'{LFM}```python\nbash(command="ls")```{END}', calls(bash("ls"))),
    case("Python: an apostrophe", f"{LFM}[bash(command='it's')]{END}", calls(bash("it's"))),
    case(
        "Python: an inch",
        f"{LFM}[bash(command='5' wide', timeout=3)]{END}",
        calls(bash("5' wide", timeout=3)),
    ),
    case(
        "Python: a set",
        f'{LFM}[mix(more={{1, 2}}), mix(more={{"a", "b"}}), mix(more=[{{"a": {{1}}}}])]{END}',
        calls(mix(more=[1, 2]), mix(more=["a", "b"]), mix(more=[{"a": [1]}])),
    ),
    case("Python: an empty dictionary", f"{LFM}[mix(more={{}})]{END}", calls(mix(more={}))),
    case(
        "GLM: a mention of a key",
        (
            "<tool_call>mix\n<arg_key>text</arg_key>\n<arg_value>x <arg_key> y</arg_value>\n"
            "</tool_call>a<tool_call>list_drones\n</tool_call>"
        ),
        calls(mix(text="x <arg_key> y"), LIST, content="a"),
    ),
    case(
        "GLM: a key in a value",
        (
            "<tool_call>mix\n<arg_key>text</arg_key>\n"
            "<arg_value>use <arg_key>k</arg_key> here</arg_value>\n</tool_call>"
        ),
        calls(mix(text="use <arg_key>k</arg_key> here")),
    ),
    case(
        "GLM: a pair in a value",
        (
            "<tool_call>mix\n<arg_key>text</arg_key>\n"
            "<arg_value><arg_key>k</arg_key><arg_value>v</arg_value> x</arg_value>\n</tool_call>"
        ),
        calls(mix(text="<arg_key>k</arg_key><arg_value>v</arg_value> x")),
    ),
    case(
        "GLM: no opening tag of a value",
        (
            "<tool_call>log_water\n<arg_key>plant</arg_key>\nfern</arg_value>\n"
            "<arg_key>millilitres</arg_key>\n3</arg_value></tool_call>"
        ),
        calls(water(millilitres=3)),
    ),
    case(
        "GLM: none of the second value",
        (
            "<tool_call>log_water\n<arg_key>plant</arg_key>\n<arg_value>fern</arg_value>\n"
            "<arg_key>millilitres</arg_key>3</arg_value></tool_call>"
        ),
        calls(water(millilitres=3)),
    ),
    case(
        "GLM: no value",
        (
            "<tool_call>log_water\n<arg_key>plant</arg_key>\n<arg_value>fern</arg_value>\n"
            "<arg_key>millilitres</arg_key>\n</tool_call>"
        ),
        calls(
            half("log_water", '{"plant":"fern"'),
            content="<arg_key>millilitres</arg_key>\n</tool_call>",
        ),
    ),
    case(
        "GLM: no first value",
        (
            "<tool_call>log_water\n<arg_key>plant</arg_key>\n"
            "<arg_key>millilitres</arg_key><arg_value>3</arg_value></tool_call>"
        ),
        Seen(
            "<tool_call>log_water\n<arg_key>plant</arg_key>\n"
            "<arg_key>millilitres</arg_key><arg_value>3</arg_value></tool_call>"
        ),
    ),
    case(
        "Apertus: a string that swallows the rest",
        '<|tools_prefix|>[{"mix": {"text": "a "more": [1, "a"], "x": {}}}]<|tools_suffix|>',
        calls(mix(text='a "more": [1, "a'), content='], "x": {}}}]<|tools_suffix|>'),
    ),
    case(
        "an echo without its opener",
        f'{LFM}[bash(command="ls")]{END}\n[bash(command="ls")]{END}',
        calls(bash("ls")),
    ),
    case(
        "an echo of JSON",
        (
            '<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>\n'
            '{"name": "bash", "arguments": {"command": "ls"}}</tool_call>'
        ),
        calls(bash("ls")),
    ),
    case(
        "no echo, but another call",
        f'{LFM}[bash(command="ls")]{END}\n[bash(command="pwd")]{END}',
        calls(bash("ls"), bash("pwd")),
    ),
    case(
        "twice in full",
        f'{LFM}[bash(command="ls")]{END}{LFM}[bash(command="ls")]{END}',
        calls(bash("ls"), bash("ls")),
    ),
]


@pytest.mark.parametrize(
    "one", [*CUT_OFF, *COMPLETED, *DAMAGED], ids=lambda one: f"{one.name}, {one.finish}"
)
def test_table(one: Case) -> None:
    assert always(lambda: Parser(BASH), one.text, one.finish) == one.found


FULL = {
    "path": "a b",
    "count": 1234,
    "items": ["x", {"k": "v"}],
    "ok": True,
    "body": 'one\n"two" (3)',
}
MIX = [
    tool(
        "mix",
        path={"type": "string"},
        count={"type": "integer"},
        items={"type": "array"},
        ok={"type": "boolean"},
        body={"type": "string"},
    )
]


TAGGED = {
    "qwen3_coder": (
        "<tool_call>",
        "<function=write>",
        "<parameter=path>",
        "<parameter=x>",
        "</parameter>",
        "</function>",
        "</tool_call>",
    ),
    "glm": (
        "<tool_call>",
        "<arg_key>",
        "<arg_key>x</arg_key>",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "</tool_call>",
    ),
    "seed_oss": (
        "<seed:tool_call>",
        "<function=write>",
        "<parameter=path>",
        "</parameter>",
        "</function>",
        "</seed:tool_call>",
    ),
    "minimax_m2": (
        "<minimax:tool_call>",
        '<invoke name="write">',
        '<parameter name="path">',
        "</parameter>",
        "</invoke>",
        "</minimax:tool_call>",
    ),
    "anthropic": (
        "<function_calls>",
        '<invoke name="write">',
        '<parameter name="path">',
        "</parameter>",
        "</invoke>",
        "</function_calls>",
    ),
    "muse": (
        "<atem:function_calls>",
        '<atem:invoke name="write">',
        '<atem:parameter name="path">',
        "</atem:parameter>",
        "</atem:invoke>",
    ),
    "deepseek_dsml": (
        "<｜DSML｜function_calls>",
        '<｜DSML｜invoke name="write">',
        "<｜DSML｜",
        "</｜DSML｜parameter>",
        "</｜DSML｜invoke>",
    ),
    "step3": (
        "<｜tool_call_begin｜>",
        '<steptml:invoke name="write">',
        "</steptml:parameter>",
        "</steptml:invoke>",
        "<｜tool_call_end｜>",
    ),
    "kimi_k3": (
        "<|open|>tools<|sep|>",
        '<|open|>call tool="write"<|sep|>',
        "<|open|>",
        "<|close|>argument<|sep|>",
        "<|close|>call<|sep|>",
    ),
    "minicpm5": ('<function name="write">', '<param name="path">', "</param>", "</function>"),
    "hermes": ("<tool_call>", "</tool_call>"),
    "kimi_k2": (
        "<|tool_call_begin|>",
        "<|tool_call_end|>",
        "<|tool_call_argument_begin|>",
        "<|tool_calls_section_end|>",
    ),
    "lfm2": ("<|tool_call_start|>", "<|tool_call_end|>"),
    "harmony": ("<|start|>", "<|channel|>", "<|message|>", "<|call|>"),
}


FIRST = ' to=functions.log_water<|channel|>commentary json<|message|>{"plant": "fern"}<|call|>'
HEADERS = [
    (FIRST, calls(FERN)),
    (FIRST.lstrip(), calls(FERN)),
    (FIRST.replace("json", "<|constrain|>json"), calls(FERN)),
    (FIRST.replace("<|channel|>commentary json", ""), calls(FERN)),
    (FIRST.replace("log_water", "fly_kite"), calls(Call("fly_kite", {"plant": "fern"}))),
    ("assistant" + FIRST, calls(FERN)),
    (
        'commentary to=functions.log_water <|constrain|>json<|message|>{"plant": "fern"}<|call|>',
        calls(FERN),
    ),
    (f"{FIRST}<|start|>assistant{FIRST}", calls(FERN, FERN)),
    ("assistant<|channel|>final<|message|>Hi.<|return|>", Seen("Hi.")),
    ("final<|message|>Hi.<|return|>", Seen("Hi.")),
    (
        "analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi.",
        Seen("Hi.", (), "Hm."),
    ),
    (" to=functions.log_water<|message|>fern", Seen(" to=functions.log_water<|message|>fern")),
    (" to=functions.log_water is a name", Seen(" to=functions.log_water is a name")),
    ("final answers: 5", Seen("final answers: 5")),
]


@pytest.mark.parametrize("dialect", ["auto", "harmony"])
@pytest.mark.parametrize(("text", "found"), HEADERS)
def test_the_prompt_may_hold_the_first_half_of_a_header(
    dialect: str, text: str, found: Seen
) -> None:
    assert read(text, dialect) == found


def test_arguments_behind_such_a_header_stream() -> None:
    parser = Parser(TOOLS)
    parser.feed(' to=functions.write_note<|message|>{"body": "')
    assert all(len(parser.feed("abcd ")) == 1 for _ in range(100))
