"""A call that the backend has parsed and the text still has, too: one call, whichever comes
first, in whatever pieces.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.completion import duplicate_calls
from proxy.completion.choice import TOO_LONG
from proxy.completion.duplicate_calls import CallEvent, DuplicateFilter
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Reasoning
from tests.backend import DONE, END, Piece, chunk
from tests.completion.one_choice import CALL, MADE, OTHER, Told
from tests.parsing.cuts import LAWS, TOOLS, cuts
from tests.web.round_trip import BOTH, Heard, native, told
from tests.web.test_chat_calls import JSON, WATERED, WRITTEN, XML, letters

FERN = native(0, '{"litres": 2.0,  "plant": "f\\u0065rn"}', id="c", name="water")
TYPED = native(0, '{"plant": "fern", "litres": "2"}', id="c", name="water")
MOSS = native(0, '{"plant":"moss","litres":2}', id="c", name="water")
DRONES = native(1, "{}", id="d", name="list_drones")


# through the whole application


@BOTH
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("call", [FERN, TYPED], ids=["another form", "a string for a number"])
@pytest.mark.parametrize("native_first", [True, False])
async def test_parsed_and_left_in_the_text_it_is_one_call(
    streamed: bool, size: int, call: Piece, native_first: bool
) -> None:
    leaked = letters("So:\n" + JSON, size)
    pieces = [call, *leaked] if native_first else [*leaked, call]
    answer = await told(*pieces, *END, streamed=streamed, tools=TOOLS)
    assert (answer.content.strip(), answer.made, answer.finish) == ("So:", [WATERED], "tool_calls")


@BOTH
async def test_in_the_thoughts_too(streamed: bool) -> None:
    thoughts = letters("I water it.\n" + JSON, key="reasoning_content")
    for pieces in (
        [FERN, *thoughts],
        [*thoughts, FERN],
        [*letters("<think>\nI water it.\n" + JSON + "\n</think>\n"), FERN],
    ):
        answer = await told(*pieces, *END, streamed=streamed, tools=TOOLS)
        assert (answer.made, answer.finish) == ([WATERED], "tool_calls")
        assert answer.reasoning.startswith("I water it.")


MOSSED = ("water", {"plant": "moss", "litres": 2})
ALSO_FERN = native(1, '{"plant":"fern","litres":2}', id="d", name="water")
TRUE = native(0, '{"plant":"fern","litres":true}', id="c", name="water")
FOUND: dict[str, tuple[list[Piece], list[Any]]] = {
    "other arguments": ([*letters(JSON), MOSS], [WATERED, MOSSED]),
    "other arguments, native first": ([MOSS, *letters(JSON)], [MOSSED, WATERED]),
    "twice leaked": ([*letters(JSON + JSON)], [WATERED, WATERED]),
    "twice native": ([FERN, ALSO_FERN], [WATERED, WATERED]),
    "two and one": ([*letters(JSON + JSON), FERN], [WATERED, WATERED]),
    "two and two": ([FERN, ALSO_FERN, *letters(JSON + JSON)], [WATERED, WATERED]),
    "some": ([*letters(XML + JSON), FERN, DRONES], [WRITTEN, WATERED, ("list_drones", {})]),
    "in order": (
        [*letters(JSON), MOSS, DRONES, *letters(XML)],
        [WATERED, MOSSED, ("list_drones", {}), WRITTEN],
    ),
    "true is not 1": (
        [*letters(JSON), TRUE],
        [WATERED, ("water", {"plant": "fern", "litres": True})],
    ),
}


@BOTH
@pytest.mark.parametrize("case", FOUND)
async def test_only_equal_calls_of_two_kinds_are_one(streamed: bool, case: str) -> None:
    pieces, made = FOUND[case]
    answer = await told(*pieces, *END, streamed=streamed, tools=TOOLS)
    assert (answer.made, answer.finish) == (made, "tool_calls")


@BOTH
async def test_half_a_copy_is_left_out(streamed: bool) -> None:
    answer = await told(
        *letters(JSON),
        native(0, '{"plant":"fe', id="c", name="water"),
        chunk(finish="length"),
        DONE,
        streamed=streamed,
        tools=TOOLS,
    )
    assert (answer.made, answer.finish) == ([WATERED], "tool_calls")
    answer = await told(
        FERN, *letters(JSON[:-30]), chunk(finish="length"), DONE, streamed=streamed, tools=TOOLS
    )
    assert (answer.made, answer.finish) == ([WATERED], "tool_calls")


@BOTH
async def test_beside_half_a_call_the_whole_one_is_new(streamed: bool) -> None:
    answer = await told(
        *letters(JSON[:-30]), FERN, chunk(finish="length"), DONE, streamed=streamed, tools=TOOLS
    )
    assert (answer.calls[-1].name, json.loads(answer.calls[-1].arguments), answer.finish) == (
        *WATERED,
        "tool_calls",
    )


@BOTH
async def test_where_one_call_is_wanted_its_copy_is_not_a_second(streamed: bool) -> None:
    answer = await told(
        *letters(JSON),
        FERN,
        DRONES,
        *END,
        streamed=streamed,
        tools=TOOLS,
        parallel_tool_calls=False,
    )
    assert answer.made == [WATERED]


@BOTH
async def test_names_that_a_backend_writes_its_own_way_are_the_same(streamed: bool) -> None:
    tools = [{"type": "function", "function": {"name": "my-server_doThing"}}]
    leaked = '<tool_call>\n{"name": "my-server_doThing", "arguments": {}}\n</tool_call>'
    call = native(0, "{}", id="c", name="my_server_do_thing")
    for pieces in ([*letters(leaked), call], [call, *letters(leaked)]):
        assert (await told(*pieces, *END, streamed=streamed, tools=tools)).made == [
            ("my-server_doThing", {})
        ]


@BOTH
async def test_where_the_text_is_not_read_nothing_is_compared(streamed: bool) -> None:
    answer = await told(
        *letters(JSON),
        FERN,
        *END,
        streamed=streamed,
        tools=TOOLS,
        options={"tool_parsing": "native"},
    )
    assert answer == Heard(JSON, "", answer.calls, "tool_calls")
    assert answer.made == [WATERED]


# what is held, and for how long


def parsed(
    arguments: str, *, name: str = "water", index: int = 0, whole: bool | None = True
) -> list[CallEvent]:
    events: list[CallEvent] = [
        CallStart(index, f"c{index}", name, "native"),
        CallArguments(index, arguments),
    ]
    return events if whole is None else [*events, CallEnd(index, whole)]


def test_the_first_streams_and_the_second_waits() -> None:
    told = Told().text(CALL).says(*parsed('{"plant":"moss"', whole=None))
    assert told.calls == [MADE]
    assert told.choice.cannot_prefill  # what waits has no text that could be gone on with
    told.says(CallArguments(0, "}"), CallEnd(0, whole=True))
    assert told.calls == [MADE, ("water", '{"plant":"moss"}')]
    told.says(*parsed('{"plant":"reed"', index=1, whole=None))
    assert len(told.calls) == 2  # there may still be a copy of it, behind the same leaked call
    told = (
        Told()
        .says(*parsed('{"plant":"moss"', whole=None))
        .says(*parsed('{"plant":"reed"', index=1, whole=None))
    )
    assert [arguments for _, arguments in told.calls] == ['{"plant":"moss"', '{"plant":"reed"']


def test_text_and_thoughts_do_not_wait() -> None:
    told = Told().text(CALL).says(*parsed("{", whole=None), Reasoning("hm")).text("Then. ")
    assert (told.content, told.thoughts, told.calls) == ("Then. ", "hm", [MADE])


def test_what_is_still_held_when_the_answer_breaks_off() -> None:
    told = Told().text(CALL).says(*parsed('{"plant":"moss"', whole=None)).ends("error")
    assert told.calls == [MADE]
    told = Told().says(*parsed('{"plant":"fern"', whole=None)).text(CALL).ends("error")
    assert told.calls == [("water", '{"plant":"fern"'), MADE]


def test_a_restarted_answer_is_compared_with_itself_only() -> None:
    told = Told().text(CALL[:-30]).says(*parsed('{"plant":"fern","litres":2}', whole=None)).again()
    told.text(CALL).says(*parsed('{"plant":"fern","litres":2}')).text(OTHER).ends()
    assert told.calls == [MADE, ("list_drones", "{}")]
    assert not told.choice.diverged


@pytest.mark.parametrize("native_first", [True, False])
def test_a_duplicate_that_is_too_long_is_sent_and_logged(
    native_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicate_calls, "HELD_LIMIT", 1000)
    long = json.dumps({"plant": "x" * 600}, separators=(",", ":"))
    leaked = f'<tool_call>\n{{"name": "water", "arguments": {long}}}\n</tool_call>'
    told, call = (
        Told(),
        [*parsed(long[:500], whole=None), CallArguments(0, long[500:]), CallEnd(0, whole=True)],
    )
    if native_first:
        told.says(*call).text(leaked, 50).ends()
    else:
        told.text(leaked, 50).says(*call).ends()
    # The first is not kept, once it is whole.
    assert (told.calls, told.record.error) == ([("water", long)], "")
    told = Told()
    told.says(*parsed(long[:500], whole=None)).text(leaked, 50).says(
        CallArguments(0, long[500:]), CallEnd(0, whole=True)
    ).ends()
    assert (told.calls, told.record.error) == ([("water", long), ("water", long)], TOO_LONG)


def test_what_alone_is_too_long_passes_and_a_later_duplicate_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicate_calls, "HELD_LIMIT", 100)
    long = '{"plant":"' + "x" * 600 + '"}'
    told = Told().says(*parsed(long))
    assert (told.calls, told.record.error) == ([("water", long)], "")
    told.text(CALL).ends()
    assert (told.calls, told.record.error) == ([("water", long), MADE], TOO_LONG)
    told.says(*parsed("{}", name="other", index=1))
    assert told.calls[2:] == [("other", "{}")]


@pytest.mark.parametrize(
    "arguments",
    ["not json", "[" * 5000, '{"a":1} x', '{"n":' + "1" * 5000 + "}", '{"a":"\ud83d"}', ""],
)
def test_arguments_that_are_no_json_are_compared_as_they_stand(arguments: str) -> None:
    filter = DuplicateFilter()
    out = [
        event
        for whose in ("a", "b")
        for one in parsed(arguments)
        for event in filter.take(whose, one, is_native=whose == "a")
    ]
    assert [whose for whose, _ in out] == ["a"] * 3


# the law


class Made(NamedTuple):
    is_native: bool
    name: str
    arguments: str
    whole: bool


MADE_CALLS = st.lists(
    st.builds(
        Made,
        st.booleans(),
        st.sampled_from(["f", "g"]),
        st.sampled_from(['{"a":1}', '{ "a": 1.0 }', '{"a":2}', "{}"]),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=7,
)


def interleaved(made: list[Made], chance: Any) -> Iterator[tuple[bool, CallEvent]]:
    """The events of each call in their order, those of several calls in any; a text has one call
    at a time.
    """
    rows = [
        [
            CallStart(at, None, one.name),
            *(CallArguments(at, letter) for letter in one.arguments),
            CallEnd(at, one.whole),
        ]
        for at, one in enumerate(made)
    ]
    while any(rows):
        leaked = next((at for at, row in enumerate(rows) if row and not made[at].is_native), None)
        ready = [at for at, row in enumerate(rows) if row and (made[at].is_native or at == leaked)]
        at = chance.choice(ready)
        yield made[at].is_native, rows[at].pop(0)


@LAWS
@given(MADE_CALLS, st.randoms(use_true_random=False))
def test_as_many_calls_as_the_kind_that_has_more_of_them(made: list[Made], chance: Any) -> None:
    filter = DuplicateFilter()
    out: list[CallEvent] = []
    for is_native, event in interleaved(made, chance):
        out += [one for _, one in filter.take(is_native, event, is_native=is_native)]
    out += [one for _, one in filter.end()]
    calls: dict[int, str] = {}
    ended: set[int] = set()
    for event in out:
        assert event.index not in ended
        match event:
            case CallStart(index):
                assert index not in calls
                calls[index] = ""
            case CallArguments(index, text):
                calls[index] += text
            case _:
                assert (calls[event.index], event.whole) == (
                    made[event.index].arguments,
                    made[event.index].whole,
                )
                ended.add(event.index)
    assert ended == set(calls)

    def value(arguments: str) -> str:
        return str(json.loads(arguments, parse_float=lambda text: int(float(text))))

    kinds = [
        Counter(
            (one.name, value(one.arguments)) for one in made if one.whole and one.is_native is kind
        )
        for kind in (True, False)
    ]
    sent = Counter((made[index].name, value(calls[index])) for index in calls if made[index].whole)
    assert sent == kinds[0] | kinds[1]


@pytest.mark.parametrize("leaked", [JSON, XML, "a\n" + JSON + "\n" + XML])
def test_every_cut_of_the_text_around_the_parsed_calls(leaked: str) -> None:
    calls = [
        *parsed('{"plant":"fern","litres":2}'),
        *parsed('{"content":"if a < b:\\n    é","path":"a.txt"}', name="write", index=1),
    ]
    whole = [
        Told().text(leaked).says(*calls).ends().calls,
        Told().says(*calls).text(leaked).ends().calls,
    ]
    assert [sorted(name for name, _ in made) for made in whole] == [["water", "write"]] * 2
    for pieces in cuts(leaked, 120):
        told = Told()
        for piece in pieces:
            told.text(piece)
        assert told.says(*calls).ends().calls == whole[0]
        told = Told().says(*calls)
        for piece in pieces:
            told.text(piece)
        assert told.ends().calls == whole[1]
