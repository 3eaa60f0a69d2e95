"""What happens seldom: broken off in the middle of nested values, doubtful dialects, both ends
of a layout.
"""

from typing import Any

import pytest

from proxy.dialects import Parser, parse
from proxy.parsing.dialect import ModelHint
from tests.dialects.table import FERN, LIST, TOOLS, calls, half, read, water
from tests.parsing.cuts import Call, Seen, always

M = "]<]minimax[>["
ROUTE = f'{M}<tool_call>\n{M}<invoke name="plan_route">'

CASES: dict[str, tuple[str, Seen]] = {
    "Gemma: a nested value breaks off": (
        "<|tool_call>call:plan_route{avoid:{a:",
        calls(half("plan_route", '{"avoid":{"a":')),
    ),
    "Gemma: a nested key breaks off": (
        "<|tool_call>call:plan_route{avoid:{a:1,b",
        calls(half("plan_route", '{"avoid":{"a":1,')),
    ),
    "Gemma: a nested key has no colon": (
        "<|tool_call>call:plan_route{avoid:{a}}",
        calls(half("plan_route", '{"avoid":{'), content="}}"),
    ),
    "Gemma: too deep": (
        "<|tool_call>call:plan_route{stops:" + "[" * 40,
        calls(half("plan_route", '{"stops":' + "[" * 32), content="[" * 8),
    ),
    "Gemma: JSON strings": (
        "<|tool_call>call:plan_route{stops:[\"a\", 'b']}<tool_call|>",
        calls(Call("plan_route", {"stops": ["a", "b"]})),
    ),
    "Gemma: a JSON string breaks off": (
        '<|tool_call>call:log_water{plant:"fe',
        calls(half("log_water", '{"plant":"fe')),
    ),
    "Gemma: keys in quotes": (
        '<|tool_call>call:log_water{<|"|>plant<|"|>:<|"|>fern<|"|>}<tool_call|>',
        calls(FERN),
    ),
    "Gemma: no name": ("<|tool_call>call:{}", Seen("<|tool_call>call:{}")),
    "Gemma: no object": ("<|tool_call>call:log_water", Seen("<|tool_call>call:log_water")),
    "Gemma: something else in it": (
        "<|tool_call>call:log_water{5}",
        Seen("<|tool_call>call:log_water{5}"),
    ),
    "Gemma: a typed text breaks off": (
        '<|tool_call>call:log_water{millilitres:<|"|>3',
        calls(half("log_water", '{"millilitres":')),
    ),
    "MiniMax: nested values break off": (
        f"{ROUTE}{M}<stops>{M}<item>A",
        calls(half("plan_route", '{"stops":')),
    ),
    "MiniMax: deep ones": (
        f"{ROUTE}{M}<avoid>{M}<a>{M}<b>1{M}</b>{M}</a>{M}</avoid>{M}</invoke>",
        calls(Call("plan_route", {"avoid": {"a": {"b": 1}}})),
    ),
    "MiniMax: too deep": (
        f"{ROUTE}{M}<avoid>" + f"{M}<a>" * 40 + f"1{M}</invoke>",
        calls(half("plan_route", '{"avoid":'), content=f"{M}<a>" * 7 + f"1{M}</invoke>"),
    ),
    "MiniMax: a value breaks off": (
        f'{M}<tool_call>{M}<invoke name="log_water">{M}<plant>fe',
        calls(half("log_water", '{"plant":"fe')),
    ),
    "MiniMax: a tag in a value": (
        f'{M}<tool_call>{M}<invoke name="log_water">{M}<plant>a</plant> b{M}</plant>{M}</invoke>',
        calls(water("a</plant> b")),
    ),
    "MiniMax: another mark ends a value": (
        f'{M}<tool_call>{M}<invoke name="log_water">{M}<plant>fern{M}</invoke>',
        calls(FERN),
    ),
    "MiniMax: prose in a call": (
        f'{M}<tool_call>{M}<invoke name="log_water">{M}<plant>fern{M}</plant>So.',
        calls(half("log_water", '{"plant":"fern"'), content="So."),
    ),
    "MiniMax: the next call ends one": (
        (
            f'{M}<tool_call>{M}<invoke name="log_water">{M}<plant>fern{M}</plant>{M}<invoke '
            f'name="list_drones">{M}</tool_call>'
        ),
        calls(FERN, LIST),
    ),
    "MiniMax: prose in place of arguments": (
        f'{M}<tool_call>{M}<invoke name="log_water">fern{M}</invoke>',
        Seen(f'{M}<tool_call>{M}<invoke name="log_water">fern{M}</invoke>'),
    ),
    "MiniMax: no call": (f"{M}<tool_call> x", Seen(f"{M}<tool_call> x")),
    "GLM: a name and nothing": ("log_water\n\nis a tool", Seen("log_water\n\nis a tool")),
    "an argument encoded twice breaks off": (
        '<|tool_call_begin|>log_water<|tool_call_argument_begin|>"{\\"plant',
        Seen('<|tool_call_begin|>log_water<|tool_call_argument_begin|>"{\\"plant'),
    ),
    "an argument encoded twice that is none": (
        '<|tool_call_begin|>log_water<|tool_call_argument_begin|>"x"',
        Seen('<|tool_call_begin|>log_water<|tool_call_argument_begin|>"x"'),
    ),
    "a fence that breaks off": (
        '<｜tool▁call▁begin｜>log_water<｜tool▁sep｜>```json\n{"plant": "fe',
        calls(half("log_water", '{"plant":"fe')),
    ),
    "a long string breaks off": (
        '<|tool_call_start|>[write_note(body="""a\\n',
        calls(half("write_note", '{"body":"a\\n')),
    ),
    "a long string with escapes": (
        "<|tool_call_start|>[write_note(body='''a\\tb\\x41''')]<|tool_call_end|>",
        calls(Call("write_note", {"body": "a\tbA"})),
    ),
    "an escape at the end": (
        '<|tool_call_start|>[write_note(body="a\\u00',
        calls(half("write_note", '{"body":"a')),
    ),
    "JSON breaks off in an outer tag": (
        '<minimax:tool_call>\n{"name": "log_water", "arguments": {"plant": "fe',
        calls(half("log_water", '{"plant":"fe')),
    ),
    "a typed value with a newline before it": (
        (
            '<minimax:tool_call><invoke name="log_water"><parameter name="millilitres">\n'
            "3</parameter></invoke></minimax:tool_call>"
        ),
        calls(Call("log_water", {"millilitres": 3})),
    ),
    "a newline before a value alone": (
        (
            '<minimax:tool_call><invoke name="log_water"><parameter name="plant">\n'
            "fern</parameter></invoke></minimax:tool_call>"
        ),
        calls(water("\nfern")),
    ),
    "no tools list": ('{"tool_calls": 5}', Seen('{"tool_calls": 5}')),
    "a call in thoughts of a channel": (
        "<|channel|>analysis<|message|>Hm.<tool_call>list_drones</tool_call><|end|>",
        calls(LIST, thoughts="Hm."),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_table(case: str) -> None:
    text, found = CASES[case]
    assert read(text) == found


SAID = [
    ('{"response": "a\\nb"}', "a\nb"),
    (' {"response": "a"} \n', "a"),
    ('{"answer": "a"}', '{"answer": "a"}'),
    ('{"response": 5}', '{"response": 5}'),
    ('{"response": "a", "b": 1}', '{"response": "a", "b": 1}'),
    ('{"response": "a"} b', '{"response": "a"} b'),
    ('{"response": "a', '{"response": "a'),
]


@pytest.mark.parametrize(("text", "content"), SAID)
def test_the_json_log_line(text: str, content: str) -> None:
    assert (
        always(lambda: Parser(TOOLS, ["auto", "generic_response"]), text).content.strip()
        == content.strip()
    )
    assert read(text) == Seen(text)


@pytest.mark.parametrize(
    "hint", [ModelHint(model="Synthia-S1"), ModelHint(template="{% if x %}<reasoning>{% endif %}")]
)
def test_doubtful_tags_of_thoughts(hint: ModelHint) -> None:
    text = "<reasoning>a</reasoning>b"
    assert always(lambda: Parser(TOOLS, hint=hint), text) == Seen("b", (), "a")
    assert always(lambda: Parser(TOOLS), text) == Seen(text)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (
            "Apriel-1.6-15b",
            "Here are my reasoning steps:\na\n[BEGIN FINAL RESPONSE]\nb\n[END FINAL RESPONSE]",
        ),
        ("granite-3.2-8b", "Here is my thought process:\na\nHere is my response:\nb"),
    ],
)
def test_thoughts_in_words(model: str, text: str) -> None:
    found = always(lambda: Parser(TOOLS, hint=ModelHint(model=model)), text)
    assert (found.content.strip(), found.thoughts.strip()) == ("b", "a")
    assert read(text) == Seen(text)


def test_a_hint_comes_first() -> None:
    """The model's own dialect is tried first among those that share a marker."""
    text = "<tool_call>log_water\n{}\n</tool_call>"
    for model in ("qwen3-coder", "GLM-4.6", ""):
        parser = Parser(TOOLS, hint=ModelHint(model=model))
        events: list[Any] = [*parser.feed(text), *parser.close()]
        assert [event.name for event in events if hasattr(event, "name")] == ["log_water"]


def test_no_dialect_may_lose_a_plain_answer() -> None:
    assert parse("a < b", tools=TOOLS, dialect="harmony") == {
        "role": "assistant",
        "content": "a < b",
    }
