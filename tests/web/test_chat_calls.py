"""Tool calls and reasoning reach the client as such, wherever the model wrote them."""

import json
from typing import Any

import pytest

from tests.backend import DONE, END, STOP, USAGE, Piece, chunk, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, Heard, Road, heard, native, payloads, told, whole

XML = (
    "<tool_call>\n<function=write>\n<parameter=path>\na.txt\n</parameter>\n"
    "<parameter=content>\nif a < b:\n    é\n</parameter>\n</function>\n</tool_call>"
)
JSON = '<tool_call>\n{"name": "water", "arguments": {"plant": "fern", "litres": 2}}\n</tool_call>'
WRITTEN = ("write", {"path": "a.txt", "content": "if a < b:\n    é"})
WATERED = ("water", {"plant": "fern", "litres": 2})


def letters(said: str, size: int = 3, *, index: int = 0, key: str = "content") -> list[Piece]:
    return [chunk({key: said[at : at + size]}, index=index) for at in range(0, len(said), size)]


@BOTH
@pytest.mark.parametrize(("leaked", "made"), [(XML, WRITTEN), (JSON, WATERED)], ids=["xml", "json"])
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_call_that_leaked_into_the_text(
    streamed: bool, leaked: str, made: Any, size: int
) -> None:
    answer = await told(
        *letters("I will do it.\n" + leaked, size), *END, streamed=streamed, tools=TOOLS
    )
    assert answer.made == [made]
    assert (answer.content.rstrip(), answer.finish) == ("I will do it.", "tool_calls")
    assert answer.calls[0].id.startswith("call_")


@BOTH
async def test_a_native_call_with_content_before(streamed: bool) -> None:
    call = (
        native(0, "", id="c", name="water"),
        native(0, '{"plant":'),
        native(0, '"fern","litres":2}'),
    )
    answer = await told(
        *text("First: "), *call, chunk(finish="tool_calls"), DONE, streamed=streamed, tools=TOOLS
    )
    assert (answer.content, answer.made, answer.finish) == ("First: ", [WATERED], "tool_calls")


@BOTH
async def test_leaked_and_native_calls_are_numbered_together(streamed: bool) -> None:
    pieces = [
        *letters(XML),
        native(0, '{"plant":"moss","litres":2}', id="c", name="water"),
        *letters("\n" + JSON),
        *END,
    ]
    answer = await told(*pieces, streamed=streamed, tools=TOOLS)
    assert sorted(name for name, _ in answer.made) == ["water", "water", "write"]
    assert len({call.id for call in answer.calls}) == 3


@BOTH
@pytest.mark.parametrize(
    "arguments", [{"plant": "fern", "litres": 2}, json.dumps('{"plant":"fern","litres":2}')]
)
async def test_arguments_in_another_wrapping(streamed: bool, arguments: Any) -> None:
    delta = {
        "tool_calls": [
            {"index": 0, "id": "c", "function": {"name": "water", "arguments": arguments}}
        ]
    }
    answer = await told(chunk(delta, finish="tool_calls"), DONE, streamed=streamed, tools=TOOLS)
    assert answer.made == [WATERED]


@BOTH
async def test_a_call_in_separated_thoughts_is_real_where_nothing_follows(streamed: bool) -> None:
    answer = await told(
        *letters("I water it.\n" + JSON, key="reasoning_content"),
        *END,
        streamed=streamed,
        tools=TOOLS,
    )
    assert answer == Heard("", "I water it.", answer.calls, "tool_calls")
    assert answer.made == [WATERED]


@BOTH
async def test_a_call_in_the_thoughts_is_a_rehearsal_where_the_backend_parsed_one(
    streamed: bool,
) -> None:
    call = native(0, '{"plant":"fern","litres":2}', id="c", name="water")
    answer = await told(
        *letters("Hm.\n" + JSON, key="reasoning_content"),
        call,
        *END,
        streamed=streamed,
        tools=TOOLS,
    )
    assert [call.id for call in answer.calls] == ["c"]
    assert answer.reasoning.endswith(JSON)


@BOTH
@pytest.mark.parametrize("tools", [TOOLS, None])
async def test_thoughts_that_leaked_into_the_text(streamed: bool, tools: Any) -> None:
    answer = await told(
        *letters("<think>\nHm: é.\n</think>\n\nIt is so."), *END, streamed=streamed, tools=tools
    )
    assert answer == Heard("It is so.", "Hm: é.", (), "stop")


@BOTH
@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_separated_thoughts_under_either_name(streamed: bool, key: str) -> None:
    answer = await told(*letters("Hm.", key=key), *text("So."), *END, streamed=streamed)
    assert answer == Heard("So.", "Hm.", (), "stop")


@BOTH
@pytest.mark.parametrize(
    "fields",
    [{"tools": TOOLS, "tool_choice": "none"}, {"tools": []}, {}],
    ids=["none", "no tools", "nothing said"],
)
async def test_where_no_call_is_wanted_markers_are_text(
    streamed: bool, fields: dict[str, Any]
) -> None:
    answer = await told(*letters("So: " + XML), *END, streamed=streamed, **fields)
    assert answer == Heard("So: " + XML, "", (), "stop")


@BOTH
async def test_native_parsing_does_not_look_at_the_text(streamed: bool) -> None:
    said = "<think>\nhm</think>" + XML
    call = native(0, '{"plant":"fern","litres":2}', id="c", name="water")
    pieces = [*letters("Hm.", key="reasoning_content"), *letters(said), call, *END]
    answer = await told(*pieces, streamed=streamed, tools=TOOLS, options={"tool_parsing": "native"})
    assert (answer.content, answer.reasoning, answer.made) == (said, "Hm.", [WATERED])


@BOTH
async def test_settings_of_the_parser_reach_it(streamed: bool) -> None:
    forced = {"thinking": "forced", "tool_dialect": "hermes"}
    answer = await told(
        *letters("Hm.</think>" + XML + JSON), *END, streamed=streamed, tools=TOOLS, options=forced
    )
    assert (answer.reasoning, answer.made) == ("Hm.", [WATERED])
    several = {"tool_dialect": "hermes,qwen3_coder"}
    assert (
        await told(*letters(XML), *END, streamed=streamed, tools=TOOLS, options=several)
    ).made == [WRITTEN]


@BOTH
async def test_several_choices_each_with_a_parser_of_its_own(streamed: bool) -> None:
    both = zip(
        letters("A: " + XML, 5),
        letters("B: " + XML.replace("a.txt", "b.txt"), 5, index=1),
        strict=True,
    )
    mixed = [piece for pair in both for piece in pair]
    road = Road(stream(*mixed, STOP, chunk(finish="stop", index=1), USAGE, DONE))
    answer = await road.ask(streamed=streamed, n=2, tools=TOOLS)
    first, second = heard(answer, 0), heard(answer, 1)
    assert (first.content, second.content, first.finish, second.finish) == (
        "A: ",
        "B: ",
        "tool_calls",
        "tool_calls",
    )
    assert [first.made[0][1]["path"], second.made[0][1]["path"]] == ["a.txt", "b.txt"]
    assert first.calls[0].id != second.calls[0].id


@BOTH
@pytest.mark.parametrize(
    "calls",
    [
        letters(JSON + "\n" + XML),
        [
            native(0, '{"plant":"fern","litres":2}', id="c", name="water"),
            native(1, '{"pa', id="d", name="write"),
            native(1, 'th":""}'),
        ],
        [*letters(JSON), native(0, "{}", id="d", name="list_drones")],
    ],
    ids=["leaked", "native", "both"],
)
async def test_who_wants_one_call_gets_the_first_and_the_whole_count(
    streamed: bool, calls: list[Piece]
) -> None:
    answer = await Road(stream(*calls, *END)).ask(
        streamed=streamed, tools=TOOLS, parallel_tool_calls=False
    )
    assert (heard(answer).made, heard(answer).finish) == ([WATERED], "tool_calls")
    usage = (payloads(answer.body)[-2] if streamed else answer.json)["usage"]
    assert usage["completion_tokens"] == 5


@BOTH
async def test_a_whole_answer_is_translated_like_any_other(streamed: bool) -> None:
    calls = [
        {
            "id": "c",
            "type": "function",
            "function": {"name": "water", "arguments": {"plant": "fern", "litres": 2}},
        }
    ]
    message = {"content": "So.\n" + XML, "reasoning_content": "Hm.", "tool_calls": calls}
    answer = heard(await Road(whole(message, "tool_calls")).ask(streamed=streamed, tools=TOOLS))
    assert (answer.reasoning, answer.content.strip(), answer.finish) == ("Hm.", "So.", "tool_calls")
    assert sorted(name for name, _ in answer.made) == ["water", "write"]


@BOTH
@pytest.mark.parametrize(
    ("leaked", "unclosed"),
    [
        (XML.partition("\n</parameter>\n</function>")[0], '{"path":"a.txt","content":"if a'),
        (JSON[:-22], '{"plant":"fern"'),
    ],
    ids=["xml", "json"],
)
async def test_a_leaked_call_that_was_cut_stays_unclosed(
    streamed: bool, leaked: str, unclosed: str
) -> None:
    answer = await told(
        *letters(leaked), chunk(finish="length"), DONE, streamed=streamed, tools=TOOLS
    )
    assert answer.finish == "length"
    assert answer.calls[0].arguments.startswith(unclosed)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(answer.calls[0].arguments)
