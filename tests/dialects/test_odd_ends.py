"""Damage that few answers have. Each case is one text, read whole, so that the fast run sees it."""

import json

import pytest

from proxy.dialects import Parser
from proxy.parsing.events import CallArguments, CallEnd, Content, Reasoning
from tests.dialects.renderers import WRITTEN
from tests.dialects.table import LIST, TOOLS, calls, half, read
from tests.parsing.cuts import Call, Seen, always, events_of, seen, single_cuts

DRONES = '{"name": "list_drones", "arguments": {}}'
HALF_FERN = half("log_water", '{"plant":"fern')


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(
            f"<tool_call>[{DRONES} x</tool_call>",
            calls(LIST, content=" x</tool_call>"),
            id="text before the closer of an array",
        ),
        pytest.param(
            f"<tool_call>[[{DRONES}] x</tool_call>",
            calls(LIST, content=" x</tool_call>"),
            id="text before the second closer of two arrays",
        ),
        pytest.param(
            '<tool_call>{"name": "log_water", "arguments": "{',
            Seen('<tool_call>{"name": "log_water", "arguments": "{'),
            id="arguments in a string that breaks off",
        ),
        pytest.param(
            '<tool_call>{"name": "log_water", "arguments": {"plant": "fern\\',
            calls(HALF_FERN),
            id="a backslash at the end",
        ),
        pytest.param(
            '<|tools_prefix|>[{"": {"plant": "fern"}}]<|tools_suffix|>',
            Seen('<|tools_prefix|>[{"": {"plant": "fern"}}]<|tools_suffix|>'),
            id="an empty name",
        ),
    ],
)
def test_a_damaged_call(text: str, found: Seen) -> None:
    assert read(text) == found


def test_a_tag_that_breaks_off_is_not_part_of_the_value_before() -> None:
    text = "<tool_call>\n<function=log_water>\n<parameter=plant>\nfern\n<parameter=mil"
    found = always(lambda: Parser(TOOLS), text, "length", single_cuts(text, len(text)))
    assert found == calls(HALF_FERN)


def test_megabytes_of_blanks_in_the_reasoning_are_not_held() -> None:
    parser = Parser(TOOLS)
    assert parser.feed("<think>a") == [Reasoning("a")]
    assert parser.feed(" " * (5 << 20)) == [Reasoning(" " * (5 << 20))]
    assert parser.feed("\nb</think>c") == [Reasoning("\nb")]
    assert parser.close() == [Content("c")]


def test_empty_reasoning_from_the_backend_is_nothing() -> None:
    assert Parser(TOOLS).feed_reasoning("") == []


def test_a_value_nested_too_deep_ends_the_call_as_incomplete() -> None:
    text = '<tool_call>{"name": "plan_route", "arguments": {"stops": ' + "[" * 20_000
    events = events_of(Parser(TOOLS), [text])
    arguments = "".join(event.text for event in events if isinstance(event, CallArguments))
    assert arguments.startswith('{"stops":[[[')
    assert CallEnd(0, whole=False) in events


def test_a_call_with_thousands_of_arguments_keeps_them_all() -> None:
    many = {f"k{number}": number for number in range(5_000)}
    text = f'<tool_call>{{"name": "plan_route", "arguments": {json.dumps(many)}}}</tool_call>'
    assert seen(events_of(Parser(TOOLS), [text])).calls[0].arguments == many


def test_a_value_that_holds_a_call_whose_tags_begin_alike() -> None:
    inner = WRITTEN["deepseek_dsml"].render([("list_drones", {})])
    text = WRITTEN["deepseek_dsml"].render([("write_note", {"path": "a", "body": inner})])
    assert read(text) == calls(Call("write_note", {"path": "a", "body": inner}))
