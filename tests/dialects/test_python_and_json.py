"""Calls in Python's syntax or as JSON, bare or between markers: what models were seen to write."""

import pytest

from tests.dialects.table import FERN, LIST, Case, calls, case, half, read, water
from tests.parsing.cuts import Call, Seen

CASES = [
    case(
        "ll py tag",
        '<|python_tag|>{"name": "log_water", "parameters": {"plant": "fern"}}',
        calls(FERN),
    ),
    case("ll eom", '{"name": "log_water", "parameters": {"plant": "fern"}}<|eom_id|>', calls(FERN)),
    case(
        "ll eot",
        (
            '<|python_tag|>{"type": "function", "name": "log_water", "parameters": {"plant": '
            '"fern"}}<|eot_id|>'
        ),
        calls(FERN),
    ),
    case(
        "ll type",
        '{"type": "function", "name": "log_water", "parameters": {"plant": "fern"}}',
        calls(FERN),
    ),
    case(
        "ll newline",
        (
            '{"name": "log_water", "parameters": {"plant": "fern"}}\n'
            '{"name": "list_drones", "parameters": {}}'
        ),
        calls(FERN, LIST),
    ),
    case(
        "ll prose after",
        '{"name": "log_water", "parameters": {"plant": "fern"}}\nDone',
        Seen('{"name": "log_water", "parameters": {"plant": "fern"}}\nDone'),
    ),
    case(
        "ll str num",
        '{"name": "log_water", "parameters": {"plant": "fern", "millilitres": "30"}}',
        calls(water(millilitres=30)),
    ),
    case(
        "ll builtin",
        '<|python_tag|>brave_search.call(query="a b")',
        calls(Call("brave_search", {"query": "a b"})),
    ),
    case(
        "ll schema",
        (
            '{"name": "log_water", "parameters": {"type": "object", "properties": {"plant": '
            '{"type": "string"}}}}'
        ),
        Seen(
            '{"name": "log_water", "parameters": {"type": "object", "properties": {"plant": '
            '{"type": "string"}}}}'
        ),
    ),
    case(
        "ll undeclared",
        '{"name": "kite", "parameters": {"a": 1}}',
        Seen('{"name": "kite", "parameters": {"a": 1}}'),
    ),
    case(
        "ll func wrapper",
        '{"type": "function", "function": {"name": "log_water", "parameters": {"plant": "fern"}}}',
        calls(FERN),
    ),
    case("ll raw code", "<|python_tag|>print(1)", Seen("<|python_tag|>print(1)")),
    case("ll tag eom", '<function=log_water>{"plant": "fern"}</function><|eom_id|>', calls(FERN)),
    case(
        "ll tag prose",
        'Ok.\n<function=log_water>{"plant": "fern"}</function>\nDone.',
        calls(FERN, content="Ok.\n\nDone."),
    ),
    case("ll tag noclose", '<function=log_water>{"plant": "fern"}', calls(FERN)),
    case(
        "ll tag two",
        '<function=log_water>{"plant": "fern"}</function>\n<function=list_drones>{}</function>',
        calls(FERN, LIST),
    ),
    case("ll unclosed", '{"name": "log_water", "parameters": {"plant": "fern"}', calls(FERN)),
    case(
        "ll raw newline",
        '{"name": "write_note", "parameters": {"path": "a", "body": "x\ny"}}',
        calls(Call("write_note", {"path": "a", "body": "x\ny"})),
    ),
    case(
        "ll cut",
        '{"name": "log_water", "parameters": {"plant": "fe',
        Seen('{"name": "log_water", "parameters": {"plant": "fe'),
        finish="length",
    ),
    case("ll python dict", "{'name': 'log_water', 'parameters': {'plant': 'fern'}}", calls(FERN)),
    case(
        "py kw",
        '[read_log(pattern="x", from=3)]',
        calls(Call("read_log", {"pattern": "x", "from": 3})),
    ),
    case(
        "py raw nl",
        '[write_note(path="a", body="x\ny")]',
        calls(Call("write_note", {"path": "a", "body": "x\ny"})),
    ),
    case(
        "py true null", '[log_water(plant="fern", fertilised=true)]', calls(water(fertilised=True))
    ),
    case(
        "py triple",
        '[write_note(path="a", body="""x "q"\ny""")]',
        calls(Call("write_note", {"path": "a", "body": 'x "q"\ny'})),
    ),
    case(
        "py spaces",
        '[ log_water( plant = "fern" , millilitres = 3 ) ]',
        calls(water(millilitres=3)),
    ),
    case(
        "py multi line",
        '[\n  log_water(\n    plant="fern",\n  ),\n  list_drones()\n]',
        calls(FERN, LIST),
    ),
    case("py lines", 'log_water(plant="fern")\nlist_drones()', calls(FERN, LIST)),
    case("py start", '<|python_start|>[log_water(plant="fern")]<|python_end|>', calls(FERN)),
    case(
        "py start eot",
        '<|python_start|>[log_water(plant="fern")]<|python_end|><|eot|>',
        calls(FERN),
    ),
    case(
        "py prose after", '[log_water(plant="fern")] done', Seen('[log_water(plant="fern")] done')
    ),
    case(
        "py quoted int", '[log_water(plant="fern", millilitres="3")]', calls(water(millilitres=3))
    ),
    case(
        "py mixed unknown",
        '[log_water(plant="fern"), foo()]',
        Seen('[log_water(plant="fern"), foo()]'),
    ),
    case("py fence", '```tool_code\nlog_water(plant="fern")\n```', calls(FERN)),
    case("py fence print", '```tool_code\nprint(log_water(plant="fern"))\n```', calls(FERN)),
    case("py fence list", '```python\n[log_water(plant="fern")]\n```', calls(FERN)),
    case("py cut", '[log_water(plant="fe', Seen('[log_water(plant="fe'), finish="length"),
    case(
        "olmo",
        '<function_calls>\nlog_water(plant="fern")\nlist_drones()\n</function_calls>',
        calls(FERN, LIST),
    ),
    case(
        "lfm json one",
        '<|tool_call_start|>{"name": "log_water", "arguments": {"plant": "fern"}}<|tool_call_end|>',
        calls(FERN),
    ),
    case(
        "lfm prose",
        '<|tool_call_start|>[log_water(plant="fern")]<|tool_call_end|>Checking it.<|im_end|>',
        calls(FERN, content="Checking it."),
    ),
    case(
        "lfm cut",
        '<|tool_call_start|>[log_water(plant="fe',
        calls(half("log_water", '{"plant":"fe')),
        finish="length",
    ),
    case(
        "lfm no brackets",
        '<|tool_call_start|>log_water(plant="fern")<|tool_call_end|>',
        calls(FERN),
    ),
    case(
        "lfm unknown",
        "<|tool_call_start|>[kite(a=1)]<|tool_call_end|>",
        calls(Call("kite", {"a": 1})),
    ),
    case(
        "lfm tail bs",
        "<|tool_call_start|>[read_log(pattern='C:\\dir\\', from=-1)]<|tool_call_end|>",
        calls(Call("read_log", {"pattern": "C:\\dir\\", "from": -1})),
    ),
    case(
        "lfm marker in str",
        '<|tool_call_start|>[write_note(path="a", body="<|tool_call_end|>")]<|tool_call_end|>',
        calls(Call("write_note", {"path": "a", "body": "<|tool_call_end|>"})),
    ),
    case(
        "lfm dotted",
        '<|tool_call_start|>[functions.log_water(plant="fern")]<|tool_call_end|>',
        calls(FERN),
    ),
    case("ff", ' functools[{"name": "log_water", "arguments": {"plant": "fern"}}]', calls(FERN)),
    case(
        "phi end",
        '<|tool_call|>[{"name": "log_water", "arguments": {"plant": "fern"}}]<|/tool_call|><|end|>',
        calls(FERN),
    ),
    case(
        "granite3",
        '<|tool_call|>[{"name": "log_water", "arguments": {"plant": "fern"}}]',
        calls(FERN),
    ),
    case(
        "granite3 b",
        '<|tool_call|>{"name": "log_water", "arguments": {"plant": "fern"}}',
        calls(FERN),
    ),
    case(
        "granite20",
        '<function_call> {"name": "log_water", "arguments": {"plant": "fern"}}',
        calls(FERN),
    ),
    case(
        "granite20 2",
        (
            '<function_call> {"name": "log_water", "arguments": {"plant": '
            '"fern"}} <function_call> {"name": "list_drones", "arguments": {}}'
        ),
        calls(FERN, LIST),
    ),
    case(
        "granite20 eos",
        '<function_call> {"name": "log_water", "arguments": {"plant": "fern"}}<|endoftext|>',
        calls(FERN),
    ),
    case(
        "jamba",
        (
            '<tool_calls>[\n    {"name": "log_water", "arguments": "{\\"plant\\": \\"fern\\"}"}\n'
            "]</tool_calls>"
        ),
        calls(FERN),
    ),
    case(
        "hunyuan",
        '<tool_calls>[{"name": "log_water", "arguments": {"plant": "fern"}}]</tool_calls>',
        calls(FERN),
    ),
    case(
        "apriel",
        (
            '<thinking>x</thinking><tool_calls>[{"name": "log_water", "arguments": {"plant": '
            '"fern"}, "id": "call_1"}]</tool_calls>'
        ),
        calls(FERN, thoughts="x"),
    ),
    case(
        "nemotron",
        '<TOOLCALL>[{"name": "log_water", "arguments": {"plant": "fern"}}]</TOOLCALL>',
        calls(FERN),
    ),
    case(
        "nemotron noclose",
        '<TOOLCALL>[{"name": "log_water", "arguments": {"plant": "fern"}}]',
        calls(FERN),
    ),
    case(
        "nemotron think",
        (
            "<think>\nx\n</think>\n\n"
            '<TOOLCALL>[{"name": "log_water", "arguments": {"plant": "fern"}}]</TOOLCALL>'
        ),
        calls(FERN, thoughts="x"),
    ),
    case(
        "intern",
        (
            "Sure.<|action_start|><|plugin|>\n"
            '{"name": "log_water", "parameters": {"plant": "fern"}}<|action_end|>'
        ),
        calls(FERN, content="Sure."),
    ),
    case(
        "intern sp",
        (
            "<|action_start|> <|plugin|>\n"
            '{"name": "log_water", "parameters": {"plant": "fern"}}<|action_end|>\n'
        ),
        calls(FERN),
    ),
    case(
        "gen calls",
        (
            '{"tool_calls": [{"name": "log_water", "arguments": {"plant": "fern"}}, {"name": '
            '"list_drones", "arguments": {}}]}'
        ),
        calls(FERN, LIST),
    ),
    case(
        "gen calls openai",
        (
            '{"tool_calls": [{"id": "c", "type": "function", "function": {"name": "log_water", '
            '"arguments": "{\\"plant\\": \\"fern\\"}"}}]}'
        ),
        calls(FERN),
    ),
    case(
        "gen fence",
        '```json\n{"name": "log_water", "arguments": {"plant": "fern"}}\n```',
        calls(FERN),
    ),
    case(
        "gen fence py",
        '```\n{"name": "log_water", "arguments": {"plant": "fern"}}\n```\n',
        calls(FERN),
    ),
    case(
        "gen fence think",
        '<think>x</think>\n```json\n{"name": "log_water", "arguments": {"plant": "fern"}}\n```',
        calls(FERN, thoughts="x"),
    ),
    case(
        "gen two fences",
        (
            '```json\n{"name": "log_water", "arguments": {"plant": "fern"}}\n```\n```json\n'
            '{"name": "list_drones", "arguments": {}}\n```'
        ),
        calls(FERN, LIST),
    ),
    case(
        "gen function_call",
        '{"function_call": {"name": "log_water", "arguments": {"plant": "fern"}}}',
        calls(FERN),
    ),
    case(
        "gen function str", '{"function": "log_water", "arguments": {"plant": "fern"}}', calls(FERN)
    ),
    case("gen tool str", '{"tool": "log_water", "arguments": {"plant": "fern"}}', calls(FERN)),
    case("gen action", '{"name": "log_water"}', Seen('{"name": "log_water"}')),
    case(
        "gen args array",
        '{"name": "log_water", "arguments": ["x"]}',
        Seen('{"name": "log_water", "arguments": ["x"]}'),
    ),
    case(
        "gen prose before",
        'Sure:\n{"name": "log_water", "arguments": {"plant": "fern"}}',
        Seen('Sure:\n{"name": "log_water", "arguments": {"plant": "fern"}}'),
    ),
    case(
        "gen extra key",
        '{"name": "log_water", "arguments": {"plant": "fern"}, "comment": "x"}',
        Seen('{"name": "log_water", "arguments": {"plant": "fern"}, "comment": "x"}'),
    ),
    case(
        "tools xml",
        "<tools>\n<list_drones>x</list_drones>\n</tools>",
        Seen("<tools>\n<list_drones>x</list_drones>\n</tools>"),
    ),
    case(
        "hermes qwen25",
        (
            '<tool_call>\n{"name": "log_water", "arguments": {"plant": "fern"}}\n</tool_call>\n'
            '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call><|im_end|>\n'
        ),
        calls(FERN, LIST),
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_table(one: Case) -> None:
    assert read(one.text, finish=one.finish, thinking=one.thinking) == one.found
