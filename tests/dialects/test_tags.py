"""Dialects made of tags: what models were seen to write."""

import pytest

from tests.dialects.table import FERN, LIST, Case, calls, case, half, read, water
from tests.parsing.cuts import Call, Seen

K3 = (
    '<|open|>tools<|sep|><|open|>call tool="log_water" index="1"<|sep|>'
    '<|open|>argument key="plant" type="string"<|sep|>fern<|close|>argument<|sep|>'
    "<|close|>call<|sep|><|close|>tools<|sep|>"
)

CASES = [
    case(
        "glm literal n",
        (
            "<tool_call>log_water\\n<arg_key>plant</arg_key>\\n<arg_value>fern</arg_value>\\n"
            "</tool_call>"
        ),
        calls(FERN),
    ),
    case(
        "glm key closer missing",
        "<tool_call>log_water\n<arg_key>plant\n<arg_value>fern</arg_value>\n</tool_call>",
        calls(FERN),
    ),
    case(
        "glm value closer missing next",
        (
            "<tool_call>log_water\n<arg_key>plant</arg_key>\n<arg_value>fern\n"
            "<arg_key>millilitres</arg_key>\n<arg_value>3</arg_value>\n</tool_call>"
        ),
        calls(water(millilitres=3)),
    ),
    case("glm json", '<tool_call>log_water\n{"plant": "fern"}\n</tool_call>', calls(FERN)),
    case(
        "glm json obj",
        '<tool_call>{"name":"log_water","arguments":{"plant": "fern"}}</tool_call>',
        calls(FERN),
    ),
    case(
        "glm cut",
        "<tool_call>log_water\n<arg_key>plant</arg_key>\n<arg_value>fe",
        calls(half("log_water", '{"plant":"fe')),
        finish="length",
    ),
    case(
        "glm turn",
        (
            "<tool_call>log_water\n<arg_key>plant</arg_key>\n<arg_value>fern</arg_value>\n"
            "</tool_call><|observation|>"
        ),
        calls(FERN),
    ),
    case(
        "glm unknown",
        "<tool_call>fly_kite\n<arg_key>c</arg_key>\n<arg_value>red</arg_value>\n</tool_call>",
        calls(Call("fly_kite", {"c": "red"})),
    ),
    case("glm unclosed no args", "<tool_call>list_drones</tool_call>x", calls(LIST, content="x")),
    case("glm newline first", "<tool_call>\nlist_drones\n</tool_call>", calls(LIST)),
    case(
        "glm think+",
        "<think>ok</think>\n<tool_call>list_drones\n</tool_call>",
        calls(LIST, thoughts="ok"),
    ),
    case(
        "glm no opener 2",
        "log_water<arg_key>plant</arg_key><arg_value>fern</arg_value></tool_call>",
        calls(FERN),
    ),
    case("glm no opener noargs", "list_drones\n</tool_call>", calls(LIST)),
    case("glm prose name", "list_drones is a tool.", Seen("list_drones is a tool.")),
    case(
        "hy sep",
        (
            "<tool_calls>\n<tool_call>log_water<tool_sep>\n<arg_key>plant</arg_key>\n"
            "<arg_value>fern</arg_value>\n</tool_call>\n</tool_calls>"
        ),
        calls(FERN),
    ),
    case(
        "hy sep noargs",
        "<tool_calls><tool_call>list_drones<tool_sep></tool_call></tool_calls>",
        calls(LIST),
    ),
    case(
        "hy suffix",
        (
            "<tool_calls:opensource><tool_call:opensource>log_water<arg_key:opensource>plant"
            "</arg_key:opensource><arg_value:opensource>fern</arg_value:opensource>"
            "</tool_call:opensource></tool_calls:opensource>"
        ),
        calls(FERN),
    ),
    case(
        "hy another suffix",
        (
            "<tool_calls:v4><tool_call:v4>log_water<tool_sep:v4><arg_key:v4>plant</arg_key:v4>"
            "<arg_value:v4>fern</arg_value:v4></tool_call:v4></tool_calls:v4>"
        ),
        calls(FERN),
    ),
    case(
        "a tag that closes itself",
        "<tool_call>\n<function=list_drones/>\n</tool_call>",
        calls(LIST),
    ),
    case(
        "an invocation that closes itself",
        '<function_calls>\n<invoke name="list_drones"/>\n</function_calls>',
        calls(LIST),
    ),
    case(
        "hy no suffix",
        "<tool_call:>log_water</tool_call:>",
        Seen("<tool_call:>log_water</tool_call:>"),
    ),
    case(
        "ifm typed",
        (
            "<ifm|tool_calls>\n<ifm|tool_call>log_water\n<ifm|arg_key>plant</ifm|arg_key>\n"
            "<ifm|arg_type>string</ifm|arg_type>\n<ifm|arg_value>  fern  </ifm|arg_value>\n"
            "<ifm|arg_key>x</ifm|arg_key>\n<ifm|arg_type>integer</ifm|arg_type>\n"
            "<ifm|arg_value>5</ifm|arg_value>\n</ifm|tool_call>\n</ifm|tool_calls>"
        ),
        calls(water("  fern  ", x=5)),
    ),
    case(
        "longcat json",
        (
            '<longcat_tool_call>\n{"name":"log_water","arguments":{"plant":"fern"}}\n'
            "</longcat_tool_call>"
        ),
        calls(FERN),
    ),
    case(
        "mm quotes",
        (
            "<minimax:tool_call>\n<invoke name=log_water>\n"
            "<parameter name='plant'>fern</parameter>\n</invoke>\n</minimax:tool_call>"
        ),
        calls(FERN),
    ),
    case(
        "mm tail eos",
        (
            '<minimax:tool_call>\n<invoke name="log_water">\n'
            '<parameter name="plant">fern</parameter>\n</invoke>\n</minimax:tool_call>[e~['
        ),
        calls(FERN),
    ),
    case(
        "mm json body",
        (
            '<minimax:tool_call>\n<invoke name="log_water">\n{"plant":"fern"}\n</invoke>\n'
            "</minimax:tool_call>"
        ),
        calls(FERN),
    ),
    case(
        "mm hermes in",
        (
            '<minimax:tool_call>\n{"name":"log_water","arguments":{"plant":"fern"}}\n'
            "</minimax:tool_call>"
        ),
        calls(FERN),
    ),
    case(
        "mm param closer missing",
        (
            '<minimax:tool_call>\n<invoke name="log_water">\n<parameter name="plant">fern\n'
            '<parameter name="millilitres">3</parameter>\n</invoke>\n</minimax:tool_call>'
        ),
        calls(water(millilitres=3)),
    ),
    case(
        "m1",
        (
            '<tool_calls>\n{"name": "log_water", "arguments": {"plant": "fern"}}\n'
            '{"name": "list_drones", "arguments": {}}\n</tool_calls>'
        ),
        calls(FERN, LIST),
    ),
    case(
        "mm unknown no outer",
        '<invoke name="foo"><parameter name="a">b</parameter></invoke>',
        Seen('<invoke name="foo"><parameter name="a">b</parameter></invoke>'),
    ),
    case(
        "seed budget",
        (
            "<seed:think>\nHm.<seed:cot_budget_reflect>I have used 10 "
            "tokens.</seed:cot_budget_reflect>Go.</seed:think>ok"
        ),
        Seen(
            "ok",
            (),
            "Hm.<seed:cot_budget_reflect>I have used 10 tokens.</seed:cot_budget_reflect>Go.",
        ),
    ),
    case(
        "seed opener missing",
        "<function=log_water>\n<parameter=plant>fern</parameter>\n</function>\n</seed:tool_call>",
        calls(FERN),
    ),
    case(
        "dsml ｜DSML｜ calls",
        (
            '<｜DSML｜ calls>\n<｜DSML｜ invoke name="log_water">\n'
            '<｜DSML｜ parameter name="plant" string="true">fern</｜DSML｜ parameter>\n'
            "</｜DSML｜ invoke>\n</｜DSML｜ calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml ｜DSML｜tool_calls",
        (
            '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n</｜DSML｜tool_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml |DSML|function_calls",
        (
            '<|DSML|function_calls>\n<|DSML|invoke name="log_water">\n'
            '<|DSML|parameter name="plant" string="true">fern</|DSML|parameter>\n</|DSML|invoke>\n'
            "</|DSML|function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml ‖DSML‖tool_calls",
        (
            '<‖DSML‖tool_calls>\n<‖DSML‖invoke name="log_water">\n'
            '<‖DSML‖parameter name="plant" string="true">fern</‖DSML‖parameter>\n</‖DSML‖invoke>\n'
            "</‖DSML‖tool_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml ｜DSML｜toolcalls",
        (
            '<｜DSML｜toolcalls>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n</｜DSML｜toolcalls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml ｜DSML｜tool",
        (
            '<｜DSML｜tool>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n</｜DSML｜tool>"
        ),
        calls(FERN),
    ),
    case(
        "dsml unmarked outer",
        (
            '<function_calls>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n</function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml json body",
        (
            '<｜DSML｜function_calls>\n<｜DSML｜invoke name="log_water">\n{"plant": "fern"}\n'
            "</｜DSML｜invoke>\n</｜DSML｜function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml mangled closers",
        (
            '<｜DSML｜function_calls>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern</parameter>\n</invoke>\n'
            "</function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml no string attr",
        (
            '<｜DSML｜function_calls>\n<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant">fern</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
            "</｜DSML｜function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml eos",
        (
            '<｜DSML｜function_calls>\n<｜DSML｜invoke name="list_drones">\n</｜DSML｜invoke>\n'
            "</｜DSML｜function_calls><｜end▁of▁sentence｜>"
        ),
        calls(LIST),
    ),
    case(
        "dsml undeclared json",
        (
            '<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="x" string="false">[1, 2]</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>"
        ),
        calls(Call("log_water", {"x": [1, 2]})),
    ),
    case(
        "dsml param missing closer",
        (
            '<｜DSML｜invoke name="log_water">\n'
            '<｜DSML｜parameter name="plant" string="true">fern\n</｜DSML｜invoke>\n'
            "</｜DSML｜function_calls>"
        ),
        calls(FERN),
    ),
    case(
        "dsml bare json",
        (
            '<｜DSML｜function_calls>\n{"name": "log_water", "arguments": {"plant": "fern"}}\n'
            "</｜DSML｜function_calls>"
        ),
        calls(FERN),
    ),
    case("k3", K3, calls(FERN)),
    case(
        "k3 all",
        (
            "<|open|>think<|sep|>hm<|close|>think<|sep|>"
            "<|open|>response<|sep|>Ok.<|close|>response<|sep|>"
        )
        + K3
        + "<|close|>message<|sep|><|end_of_msg|>",
        calls(FERN, content="Ok.", thoughts="hm"),
    ),
    case(
        "k3 blanks",
        K3.replace("|>tools<", "|> tools <").replace("|>argument<", "|>argument <"),
        calls(FERN),
    ),
    case(
        "k3 json",
        (
            '<|open|>tools<|sep|><|open|>call tool="log_water" index="1"<|sep|>'
            '<|open|>json type="object"<|sep|>{"plant":"fern"}<|close|>json<|sep|>'
            "<|close|>call<|sep|><|close|>tools<|sep|>"
        ),
        calls(FERN),
    ),
    case(
        "k3 noargs",
        (
            '<|open|>tools<|sep|><|open|>call tool="list_drones" index="1"<|sep|>'
            "<|close|>call<|sep|><|close|>tools<|sep|>"
        ),
        calls(LIST),
    ),
    case(
        "k3 plain",
        "<|open|>response<|sep|>Hello<|close|>response<|sep|><|close|>message<|sep|><|end_of_msg|>",
        Seen("Hello"),
    ),
    case(
        "m3 nest",
        (
            "]<]minimax[>[<tool_call>\n"
            ']<]minimax[>[<invoke name="plan_route">]<]minimax[>[<stops>]<]minimax[>[<item>A]'
            "<]minimax[>[</item>]<]minimax[>[<item>B]<]minimax[>[</item>]<]minimax[>[</stops>]"
            "<]minimax[>[<avoid>]<]minimax[>[<tolls>true]<]minimax[>[</tolls>]<]minimax[>[</avoid>]"
            "<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>"
        ),
        calls(Call("plan_route", {"stops": ["A", "B"], "avoid": {"tolls": True}})),
    ),
    case(
        "m3 sloppy",
        (
            "Ok.]<]minimax[>[<tool_call>\n"
            ']<]minimax[>[<invoke name="log_water">]<]minimax[>[<plant>fern</plant>]<]minimax[>['
            "<millilitres>6</millilitres>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>"
        ),
        calls(water(millilitres=6), content="Ok."),
    ),
    case("m3 think", "<mm:think>x</mm:think>ok", Seen("ok", (), "x")),
    case(
        "step3",
        (
            "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>"
            '<steptml:invoke name="log_water">'
            '<steptml:parameter name="plant">fern</steptml:parameter></steptml:invoke>'
            "<｜tool_call_end｜><｜tool_call_begin｜>function<｜tool_sep｜>"
            '<steptml:invoke name="list_drones"></steptml:invoke><｜tool_call_end｜>'
            "<｜tool_calls_end｜>"
        ),
        calls(FERN, LIST),
    ),
    case(
        "minicpm slip",
        '<functionname="log_water"><param name="plant">fern</param></function>',
        calls(FERN),
    ),
    case(
        "minicpm nl",
        'Ok\n<function name="log_water">\n<param name="plant">fern</param>\n</function>',
        calls(FERN, content="Ok\n"),
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_table(one: Case) -> None:
    assert read(one.text, finish=one.finish, thinking=one.thinking) == one.found
