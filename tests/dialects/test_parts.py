"""Dialects whose answers have parts with headers, and those with a syntax of their own: what
models were seen to write.
"""

import pytest

from tests.dialects.table import FERN, LIST, Case, calls, case, half, read, water
from tests.parsing.cuts import Call, Seen

H = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"

CASES = [
    case(
        "apertus",
        '<|tools_prefix|>[{"log_water": {"plant": "fern"}}]<|tools_suffix|><|assistant_end|>',
        calls(FERN),
    ),
    case(
        "apertus inner",
        (
            '<|inner_prefix|>hm<|inner_suffix|>ok <|tools_prefix|>[{"list_drones": '
            "{}}]<|tools_suffix|>"
        ),
        calls(LIST, content="ok ", thoughts="hm"),
    ),
    case("apertus noclose", '<|tools_prefix|>[{"log_water": {"plant": "fern"}}]', calls(FERN)),
    case(
        "giga",
        'function call<|role_sep|>\n{"name": "log_water", "arguments": {"plant": "fern"}}',
        calls(FERN),
    ),
    case(
        "cmd think",
        (
            "<|START_THINKING|>I will.<|END_THINKING|><|START_ACTION|>[\n"
            ' {"tool_call_id": "0", "tool_name": "list_drones", "parameters": {}}\n]<|END_ACTION|>'
        ),
        calls(LIST, thoughts="I will."),
    ),
    case(
        "cmd resp",
        "<|START_THINKING|>I will.<|END_THINKING|><|START_RESPONSE|>Hello.<|END_RESPONSE|>",
        Seen("Hello.", (), "I will."),
    ),
    case("cmd resp bare", "<|START_RESPONSE|>Hello.<|END_RESPONSE|>", Seen("Hello.")),
    case(
        "cmd resp eot",
        "<|START_RESPONSE|>Hello.<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
        Seen("Hello."),
    ),
    case(
        "cmd plus",
        (
            'Action: ```json\n[\n    {\n        "tool_name": "log_water",\n'
            '        "parameters": {\n            "plant": "fern"\n        }\n    }\n]```'
        ),
        calls(FERN),
    ),
    case(
        "cmd one",
        '<|START_ACTION|>{"tool_name": "log_water", "parameters": {"plant": "fern"}}<|END_ACTION|>',
        calls(FERN),
    ),
    case(
        "cmd cut",
        (
            '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "log_water", "parameters": '
            '{"plant": "fe'
        ),
        calls(half("log_water", '{"plant":"fe')),
        finish="length",
    ),
    case(
        "h std",
        H
        + (
            '<|channel|>commentary to=functions.log_water <|constrain|>json<|message|>{"plant": '
            '"fern"}<|call|>'
        ),
        calls(FERN, thoughts="Hm."),
    ),
    case(
        "h role",
        H + ' to=functions.log_water<|channel|>commentary json<|message|>{"plant": "fern"}<|call|>',
        calls(FERN, thoughts="Hm."),
    ),
    case("h final", H + "<|channel|>final<|message|>Done.<|return|>", Seen("Done.", (), "Hm.")),
    case("h final2", H + "<|channel|>final<|message|>Done.<|end|>", Seen("Done.", (), "Hm.")),
    case(
        "h two",
        H
        + (
            '<|channel|>commentary to=functions.log_water <|constrain|>json<|message|>{"plant": '
            '"fern"}<|call|><|start|>assistant<|channel|>commentary to=functions.list_drones '
            "<|constrain|>json<|message|>{}<|call|>"
        ),
        calls(FERN, LIST, thoughts="Hm."),
    ),
    case(
        "h final json",
        H + '<|channel|>final <|constrain|>json<|message|>{"a": 1}<|return|>',
        Seen('{"a": 1}', (), "Hm."),
    ),
    case(
        "h no end",
        "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Done.",
        Seen("Done.", (), "Hm."),
    ),
    case(
        "h no end2",
        "<|channel|>analysis<|message|>Hm.<|start|>assistant<|channel|>final<|message|>Done.",
        Seen("Done.", (), "Hm."),
    ),
    case(
        "h dup",
        H
        + (
            "<|channel|>commentary to=functions.log_water<|channel|>commentary "
            '<|constrain|>json<|message|>{"plant": "fern"}<|call|>'
        ),
        calls(FERN, thoughts="Hm."),
    ),
    case(
        "h noconstrain",
        H + '<|channel|>commentary to=functions.log_water<|message|>{"plant": "fern"}',
        calls(FERN, thoughts="Hm."),
    ),
    case(
        "h dash",
        H
        + (
            '<|channel|>commentary to=functions.log-water <|constrain|>json<|message|>{"plant": '
            '"fern"}<|call|>'
        ),
        calls(FERN, thoughts="Hm."),
    ),
    case(
        "h unknown",
        H + '<|channel|>commentary to=functions.kite <|constrain|>json<|message|>{"a": 1}<|call|>',
        calls(Call("kite", {"a": 1}), thoughts="Hm."),
    ),
    case("h cutthink", "<|channel|>analysis<|message|>Hm", Seen("", (), "Hm"), finish="length"),
    case("h bad", H + "<|channel|>finalassistant<|message|>Done.", Seen("Done.", (), "Hm.")),
    case(
        "h bad2",
        H + '<|channel|>commentary to=log_water json<|message|>{"plant": "fern"}<|call|>',
        calls(FERN, thoughts="Hm."),
    ),
    case(
        "h bad3",
        H
        + (
            "<|channel|>analysis code<|message|>x<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Done."
        ),
        Seen("Done.", (), "Hm.\nx"),
    ),
    case(
        "h bad4", H + "<|start|>assistant<|channel|>final<|message|>Done.", Seen("Done.", (), "Hm.")
    ),
    case("h nochannel", H + "<|message|>Done.<|return|>", Seen("Done.", (), "Hm.")),
    case(
        "h prelude", "<|start|>assistant<|channel|>final<|message|>Done.<|return|>", Seen("Done.")
    ),
    case(
        "h python",
        H + "<|channel|>analysis to=python code<|message|>print(1)<|call|>",
        Seen("<|start|>assistant<|channel|>analysis to=python code<|message|>print(1)", (), "Hm."),
    ),
    case(
        "h text mention", "The token <|channel|> is used.", Seen("The token <|channel|> is used.")
    ),
    case(
        "h commentary json",
        H
        + (
            "<|channel|>commentary<|message|>First.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Done."
        ),
        Seen("First.Done.", (), "Hm."),
    ),
    case(
        "fg two",
        (
            "<start_function_call>call:log_water{plant:<escape>fern<escape>}<end_function_call>"
            "<start_function_call>call:list_drones{}<end_function_call><start_function_response>"
        ),
        calls(FERN, LIST),
    ),
    case(
        "g4 sp key",
        '<|tool_call>call:log_water{ plant : <|"|>fern<|"|> , millilitres : 3 }<tool_call|>',
        calls(water(millilitres=3)),
    ),
    case("g4 extra", '<|tool_call>call:log_water{plant:<|"|>fern<|"|>}}<tool_call|>', calls(FERN)),
    case("g4 json quotes", '<|tool_call>call:log_water{"plant": "fern"}<tool_call|>', calls(FERN)),
    case("g4 noclose", '<|tool_call>call:log_water{plant:<|"|>fern<|"|>}', calls(FERN)),
    case(
        "g4 quoted int",
        '<|tool_call>call:log_water{plant:<|"|>fern<|"|>,millilitres:<|"|>3<|"|>}<tool_call|>',
        calls(water(millilitres=3)),
    ),
    case("g4 thoughts", "<|channel>thought\nhm\n<channel|>Hello.<turn|>", Seen("Hello.", (), "hm")),
    case("g4 thoughts empty", "<|channel>thought\n<channel|>Hello.", Seen("Hello.")),
    case("g4 prose", "Ok.<|tool_call>call:list_drones{}<tool_call|>", calls(LIST, content="Ok.")),
    case(
        "g4 cut",
        '<|tool_call>call:write_note{body:<|"|>cut he',
        calls(half("write_note", '{"body":"cut he')),
        finish="length",
    ),
    case(
        "g4 newline str",
        '<|tool_call>call:write_note{body:<|"|>a\nb: {c}, d<|"|>,path:<|"|>x<|"|>}<tool_call|>',
        calls(Call("write_note", {"body": "a\nb: {c}, d", "path": "x"})),
    ),
    case(
        "g4 json",
        '<|tool_call>{"name": "log_water", "arguments": {"plant": "fern"}}<tool_call|>',
        calls(FERN),
    ),
    case("g4 bare sign", "<|tool_call>call:log_water{plant:=}<tool_call|>", calls(water("="))),
    case("g4 bare str", "<|tool_call>call:log_water{plant:fern}<tool_call|>", calls(FERN)),
    case(
        "g4 bare str 2",
        "<|tool_call>call:log_water{plant:big fern,millilitres:2}<tool_call|>",
        calls(water("big fern", millilitres=2)),
    ),
    case(
        "g4 missing close quote",
        '<|tool_call>call:log_water{plant:<|"|>fern}<tool_call|>',
        calls(FERN),
    ),
    case(
        "inkling",
        (
            "<|message_model|><|content_thinking|>hm<|end_message|><|message_model|>"
            "<|content_text|>Ok.<|end_message|>"
            "<|message_model|>log_water<|content_invoke_tool_json|>"
            '{"name":"log_water","args":{"plant":"fern"}}<|end_message|>'
            "<|content_model_end_sampling|>"
        ),
        calls(FERN, content="Ok.", thoughts="hm"),
    ),
    case(
        "inkling bare",
        '<|content_invoke_tool_json|>{"name":"log_water","args":{"plant":"fern"}}<|end_message|>',
        calls(FERN),
    ),
    case(
        "ernie",
        (
            '</think>\n\n\n<tool_call>\n{"name": "log_water", "arguments": {"plant": "fern"}}\n'
            "</tool_call>"
        ),
        calls(FERN),
    ),
    case(
        "ernie resp",
        "<think>x</think>\n\n<response>\nHi.\n</response>",
        Seen("<response>\nHi.\n</response>", (), "x"),
    ),
    case(
        "muse",
        (
            " to=self<|message|>Need it.<|eom|><|start|>assistant to=log_water<|message|>"
            '<atem:function_calls>\n<atem:invoke name="log_water">\n'
            '<atem:parameter name="plant">fern</atem:parameter>\n</atem:invoke>\n'
            "</atem:function_calls><|eom|>"
        ),
        calls(FERN, thoughts="Need it."),
    ),
    case(
        "muse user",
        " to=self<|message|>Need it.<|eom|><|start|>assistant to=user<|message|>Four.<|eot|>",
        Seen("Four.", (), "Need it."),
    ),
    case(
        "muse echo",
        (
            "<|start|>assistant to=user<|message|>Like <atem:function_calls>\n"
            '<atem:invoke name="log_water">\n<atem:parameter name="plant">fern</atem:parameter>\n'
            "</atem:invoke>\n</atem:function_calls><|eom|>"
        ),
        Seen(
            'Like <atem:function_calls>\n<atem:invoke name="log_water">\n'
            '<atem:parameter name="plant">fern</atem:parameter>\n</atem:invoke>\n'
            "</atem:function_calls>"
        ),
    ),
    case(
        "muse dotted",
        (
            '<atem:function_calls>\n<atem:invoke name="default.log_water">\n'
            '<atem:parameter name="plant">fern</atem:parameter>\n</atem:invoke>\n'
            "</atem:function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "muse dotted tool",
        (
            "<|start|>assistant to=default.log_water<|message|><atem:function_calls>\n"
            '<atem:invoke name="default.log_water">\n'
            '<atem:parameter name="plant">fern</atem:parameter>\n</atem:invoke>\n'
            "</atem:function_calls><|eom|>"
        ),
        calls(FERN),
    ),
    case("r kimi vl", "◁think▷x◁/think▷y", Seen("y", (), "x")),
    case(
        "r thought",
        "<|begin_of_thought|>x<|end_of_thought|>\n<|begin_of_solution|>y<|end_of_solution|>",
        Seen("y", (), "x"),
    ),
    case("r doubled", "<think>x</think></think>y", Seen("y", (), "x")),
    case("r forced closer only", "x</think>y", Seen("y", (), "x"), thinking="forced"),
    case("r ws think", " \n<think>x</think>y", Seen("y", (), "x")),
    case("r magistral nl", "[THINK]\nx\n[/THINK]\n\ny", Seen("y", (), "x")),
    case("r seed", "<seed:think>x</seed:think>y", Seen("y", (), "x")),
    case("r closer absent opener tags", "x\n</think>\n\ny", Seen("x\n</think>\n\ny")),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_table(one: Case) -> None:
    assert read(one.text, finish=one.finish, thinking=one.thinking) == one.found
