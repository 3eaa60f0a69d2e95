"""Dialects that list blocks of a name and JSON: what models were seen to write."""

import pytest

from tests.dialects.table import FERN, LIST, Case, calls, case, half, read
from tests.parsing.cuts import Call, Seen

B, E, CB, CE, SP = (
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
)
KB, KE, KC = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>"
KCE, KA = "<|tool_call_end|>", "<|tool_call_argument_begin|>"

CASES = [
    case(
        "v3 prose both",
        f"Checking.\n{B}{CB}function{SP}list_drones\n```json\n{{}}\n```{CE}{E}\nBack.",
        calls(LIST, content="Checking.\n\nBack."),
    ),
    case(
        "v3 no fence closer",
        f'{B}{CB}function{SP}log_water\n```json\n{{"plant": "fern"}}\n{CE}{E}',
        calls(FERN),
    ),
    case(
        "v3 no json lang",
        f'{B}{CB}function{SP}log_water\n```\n{{"plant": "fern"}}\n```{CE}{E}',
        calls(FERN),
    ),
    case("v3 no fence", f'{B}{CB}function{SP}log_water\n{{"plant": "fern"}}{CE}{E}', calls(FERN)),
    case(
        "v3 eos",
        (
            f'{B}{CB}function{SP}log_water\n```json\n{{"plant": "fern"}}\n'
            f"```{CE}{E}<｜end▁of▁sentence｜>"
        ),
        calls(FERN),
    ),
    case(
        "v3 ascii",
        (
            "<|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>log_water\n```json\n"
            '{"plant": "fern"}\n```<|tool_call_end|><|tool_calls_end|>'
        ),
        calls(FERN),
    ),
    case(
        "v3 under",
        (
            "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>log_water\n```json\n"
            '{"plant": "fern"}\n```<｜tool_call_end｜><｜tool_calls_end｜>'
        ),
        calls(FERN),
    ),
    case(
        "v3 space",
        (
            "<｜tool calls begin｜><｜tool call begin｜>function<｜tool sep｜>log_water\n```json\n"
            '{"plant": "fern"}\n```<｜tool call end｜><｜tool calls end｜>'
        ),
        calls(FERN),
    ),
    case(
        "v3 outer missing",
        f'{CB}function{SP}log_water\n```json\n{{"plant": "fern"}}\n```{CE}',
        calls(FERN),
    ),
    case(
        "v3 fence in string",
        (
            f'{B}{CB}function{SP}write_note\n```json\n{{"path": "a", "body": "```\\nx\\n```"}}\n'
            f"```{CE}{E}"
        ),
        calls(Call("write_note", {"path": "a", "body": "```\nx\n```"})),
    ),
    case(
        "v3 think",
        f"<think>\nplan\n</think>\n\n{B}{CB}function{SP}list_drones\n```json\n{{}}\n```{CE}{E}",
        calls(LIST, thoughts="plan"),
    ),
    case(
        "v31 forced",
        f"plan</think>{B}{CB}list_drones{SP}{{}}{CE}{E}",
        calls(LIST, thoughts="plan"),
        thinking="forced",
    ),
    case("v31 bare closer", f"</think>{B}{CB}list_drones{SP}{{}}{CE}{E}", calls(LIST)),
    case("v31 empty body", f"{B}{CB}list_drones{SP}{CE}{E}", calls(LIST)),
    case("v31 unknown", f'{B}{CB}kite{SP}{{"a": 1}}{CE}{E}', calls(Call("kite", {"a": 1}))),
    case(
        "v31 cut",
        f'{B}{CB}log_water{SP}{{"plant": "fe',
        calls(half("log_water", '{"plant":"fe')),
        finish="length",
    ),
    case("v31 stop at opener", f"Hi{B}", Seen(f"Hi{B}")),
    case("v31 stop before args", f"{B}{CB}log_water{SP}", Seen(f"{B}{CB}log_water{SP}")),
    case(
        "v31 newlines",
        f'{B}\n{CB}log_water{SP}\n{{"plant": "fern"}}\n{CE}\n{CB}list_drones{SP}{{}}{CE}\n{E}',
        calls(FERN, LIST),
    ),
    case(
        "kimi functions.log_water:0",
        f'{KB}{KC}functions.log_water:0{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi log_water",
        f'{KB}{KC}log_water{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi functionslog_water5",
        f'{KB}{KC}functionslog_water5{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi functions_log_water_1",
        f'{KB}{KC}functions_log_water_1{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi functions.log_water",
        f'{KB}{KC}functions.log_water{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi log_water:3",
        f'{KB}{KC}log_water:3{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi functions.kite:2",
        f'{KB}{KC}functions.kite:2{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("kite", {"plant": "fern"})),
    ),
    case(
        "kimi functions.Log-Water:2",
        f'{KB}{KC}functions.Log-Water:2{KA}{{"plant": "fern"}}{KCE}{KE}',
        calls(Call("log_water", {"plant": "fern"})),
    ),
    case(
        "kimi singular",
        (
            f'<|tool_call_section_begin|>{KC}functions.log_water:0{KA}{{"plant": '
            f'"fern"}}{KCE}<|tool_call_section_end|>'
        ),
        calls(FERN),
    ),
    case("kimi empty args", f"{KB}{KC}functions.list_drones:0{KA}{KCE}{KE}", calls(LIST)),
    case("kimi ws args", f"{KB}{KC}functions.list_drones:0{KA} {KCE}{KE}", calls(LIST)),
    case(
        "kimi in think",
        f"<think>go {KB}{KC}functions.list_drones:0{KA}{{}}{KCE}{KE}",
        calls(LIST, thoughts="go"),
    ),
    case(
        "kimi no arg begin",
        f'{KB}{KC}functions.log_water:0{{"plant": "fern"}}{KCE}{KE}',
        calls(FERN),
    ),
    case(
        "kimi call end missing",
        (
            f'{KB}{KC}functions.log_water:0{KA}{{"plant": '
            f'"fern"}}{KC}functions.list_drones:1{KA}{{}}{KCE}{KE}'
        ),
        calls(FERN, LIST),
    ),
    case(
        "kimi doubly",
        f'{KB}{KC}functions.log_water:0{KA}"{{\\"plant\\": \\"fern\\"}}"{KCE}{KE}',
        calls(FERN),
    ),
    case("kimi eos", f"{KB}{KC}functions.list_drones:0{KA}{{}}{KCE}{KE}<|im_end|>", calls(LIST)),
    case("kimi brace", f'{KB}{KC}functions.log_water:0{KA}{{"plant": "fern"{KCE}{KE}', calls(FERN)),
    case(
        "kimi invalid",
        f"{KB}{KC}functions.log_water:0{KA}not json{KCE}{KE}",
        Seen(f"{KB}{KC}functions.log_water:0{KA}not json{KCE}{KE}"),
    ),
    case("r1 short", f'<｜tool▁calls｜>{CB}log_water{SP}{{"plant": "fern"}}{CE}{E}', calls(FERN)),
    case(
        "r1 escaped",
        f'{B}{CB}log_water{SP}{{"plant": "fern"}}{CE}{E}'.replace("▁", "\\_"),
        calls(FERN),
    ),
    case("v31 null", f"{B}{CB}list_drones{SP}null{CE}{E}", calls(LIST)),
    case("v3 null", f"{B}{CB}function{SP}list_drones\n```json\nnull\n```{CE}{E}", calls(LIST)),
    case("v3 empty fence", f"{B}{CB}function{SP}list_drones\n```json\n\n```{CE}{E}", calls(LIST)),
    case(
        "v3 doubly",
        f'{B}{CB}function{SP}log_water\n```json\n"{{\\"plant\\": \\"fern\\"}}"\n```{CE}{E}',
        calls(FERN),
    ),
    case(
        "v3 a word",
        f"{B}{CB}function{SP}log_water\n```json\nfern\n```{CE}{E}",
        Seen(f"{B}{CB}function{SP}log_water\n```json\nfern\n```{CE}{E}"),
    ),
    case("kimi null", f"{KB}{KC}functions.list_drones:0{KA}null{KCE}{KE}", calls(LIST)),
    case(
        "mi space",
        '[TOOL_CALLS] [{"name": "log_water", "arguments": {"plant": "fern"}}]',
        calls(FERN),
    ),
    case(
        "mi eos",
        '[TOOL_CALLS][{"name": "log_water", "arguments": {"plant": "fern"}}]</s>',
        calls(FERN),
    ),
    case("mi eos2", '[TOOL_CALLS]log_water[ARGS]{"plant": "fern"}</s>', calls(FERN)),
    case(
        "mi after",
        '[TOOL_CALLS][{"name": "log_water", "arguments": {"plant": "fern"}}]\nDone.',
        calls(FERN, content="Done."),
    ),
    case(
        "mi after2", "A\n[TOOL_CALLS]list_drones[ARGS]{}\nDone.", calls(LIST, content="A\n\nDone.")
    ),
    case(
        "mi nested array",
        '[TOOL_CALLS][{"name": "plan_route", "arguments": {"stops": [["a"], "b]"]}}]',
        calls(Call("plan_route", {"stops": [["a"], "b]"]})),
    ),
    case(
        "mi args str",
        '[TOOL_CALLS][{"name": "log_water", "arguments": "{\\"plant\\": \\"fern\\"}"}]',
        calls(FERN),
    ),
    case(
        "mi argfirst",
        '[TOOL_CALLS][{"arguments": {"plant": "fern"}, "name": "log_water"}]',
        calls(FERN),
    ),
    case("mi newline", '[TOOL_CALLS]log_water[ARGS]\n{"plant": "fern"}', calls(FERN)),
    case("mi unknown", '[TOOL_CALLS]kite[ARGS]{"a": 1}', calls(Call("kite", {"a": 1}))),
    case(
        "mi marker in str",
        '[TOOL_CALLS]write_note[ARGS]{"path": "a", "body": "[TOOL_CALLS]x[ARGS]{}"}',
        calls(Call("write_note", {"path": "a", "body": "[TOOL_CALLS]x[ARGS]{}"})),
    ),
    case("mi think", "[THINK]a[/THINK][TOOL_CALLS]list_drones[ARGS]{}", calls(LIST, thoughts="a")),
    case(
        "mi cut",
        '[TOOL_CALLS]log_water[ARGS]{"plant": "fe',
        calls(half("log_water", '{"plant":"fe')),
        finish="length",
    ),
    case(
        "mi cut2",
        '[TOOL_CALLS][{"name": "log_water", "arguments": {"plant": "fe',
        calls(half("log_water", '{"plant":"fe')),
        finish="length",
    ),
    case(
        "mi parallel mixed",
        (
            '[TOOL_CALLS][{"name": "log_water", "arguments": {"plant": '
            '"fern"}}][TOOL_CALLS]list_drones[ARGS]{}'
        ),
        calls(FERN, LIST),
    ),
    case(
        "mi space between",
        '[TOOL_CALLS]log_water[ARGS]{"plant": "fern"} [TOOL_CALLS]list_drones[ARGS]{}',
        calls(FERN, LIST),
    ),
    case("mi lone", "[TOOL_CALLS]", Seen("[TOOL_CALLS]")),
    case(
        "mi id", '[TOOL_CALLS]log_water [CALL_ID] abcdefghi [ARGS] {"plant": "fern"}', calls(FERN)
    ),
    case("fn two", '>>>log_water\n{"plant": "fern"}>>>list_drones\n{}', calls(FERN, LIST)),
    case("fn all", ">>>all\nHello there.", Seen("Hello there.")),
    case("fn call then all", ">>>list_drones\n{}\n>>>all\nDone.", calls(LIST, content="Done.")),
    case("fn v31", '<function=log_water>{"plant": "fern"}</function>', calls(FERN)),
    case("fn bare two", 'log_water\n{"plant": "fern"}\n>>>list_drones\n{}', calls(FERN, LIST)),
    case(
        "plamo msg",
        (
            "<|plamo:begin_tool_requests:plamo|><|plamo:begin_tool_request:plamo|>"
            "<|plamo:begin_tool_name:plamo|>log_water<|plamo:end_tool_name:plamo|>"
            "<|plamo:begin_tool_arguments:plamo|>"
            '<|plamo:msg|>{"plant":"fern"}<|plamo:end_tool_arguments:plamo|>'
            "<|plamo:end_tool_request:plamo|><|plamo:end_tool_requests:plamo|>"
        ),
        calls(FERN),
    ),
    case(
        "plamo one",
        (
            "<|plamo:begin_tool_request:plamo|>\n"
            "<|plamo:begin_tool_name:plamo|>log_water<|plamo:end_tool_name:plamo|>\n"
            '<|plamo:begin_tool_arguments:plamo|>\n{"plant":"fern"}\n'
            "<|plamo:end_tool_arguments:plamo|>\n<|plamo:end_tool_request:plamo|>"
        ),
        calls(FERN),
    ),
    case(
        "plamo think",
        "<|plamo:begin_think:plamo|>x<|plamo:end_think:plamo|>y<|plamo:tag|>",
        Seen("y", (), "x"),
    ),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_table(one: Case) -> None:
    assert read(one.text, finish=one.finish, thinking=one.thinking) == one.found
