"""Calls that a backend parsed itself, in every shape in which servers were seen to hand them
over.
"""

from typing import Any

import pytest

from proxy.backends.native_calls import NativeCallReader
from proxy.parsing.events import CallArguments, CallEnd, CallStart, TextEvent


def _delta(
    index: int | None = 0, id: str | None = None, name: str | None = None, arguments: Any = None
) -> dict[str, Any]:
    function = {
        key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None
    }
    return {
        key: value
        for key, value in (("index", index), ("id", id), ("function", function))
        if value is not None
    }


def _fed(*deltas: dict[str, Any], finish: str | None = "tool_calls") -> list[TextEvent]:
    calls = NativeCallReader()
    events = [event for delta in deltas for event in calls.feed(delta)]
    return events + (calls.end(finish) if finish is not None else [])


def _calls(events: list[TextEvent]) -> list[tuple[str | None, str, str, bool | None]]:
    """Id, name, joined arguments, whether whole."""
    found: dict[int, list[Any]] = {}
    for event in events:
        match event:
            case CallStart(index, id, name, source):
                assert index not in found
                assert source == "native"
                found[index] = [id, name, "", None]
            case CallArguments(index, text):
                assert found[index][3] is None
                found[index][2] += text
            case _:
                assert isinstance(event, CallEnd)
                index, whole = event.index, event.whole
                assert found[index][3] is None
                found[index][3] = whole
    assert sorted(found) == list(range(len(found)))
    return [tuple(call) for _, call in sorted(found.items())]


PIECES = ["{", '"command"', ":", '"ls', " -la", '"', "}"]


def test_as_openai_sends_it() -> None:
    events = _fed(_delta(0, "a", "bash", ""), *(_delta(0, arguments=piece) for piece in PIECES))
    assert _calls(events) == [("a", "bash", '{"command":"ls -la"}', True)]


def test_the_last_brace_waits_until_the_call_is_whole() -> None:
    before = _fed(_delta(0, "a", "bash", '{"a":{"b":"}"}}'), finish=None)
    assert (
        "".join(event.text for event in before if isinstance(event, CallArguments))
        == '{"a":{"b":"}"}'
    )
    next_begins = _fed(_delta(0, "a", "bash", '{"a":1}'), _delta(1, "b", "bash", "{"), finish=None)
    assert _calls(next_begins) == [("a", "bash", '{"a":1}', True), ("b", "bash", "{", None)]


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("", "{}"),
        ("null", "{}"),
        (" ", "{}"),
        ({}, "{}"),
        ({"a": "é"}, '{"a":"é"}'),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
        ('"text"', '"text"'),
        ("[1]", "[1]"),
        ([1], "[1]"),
        ('  {"a":1}', '{"a":1}'),
        ("not json", "not json"),
        ('{"a":1}, oops', '{"a":1}, oops'),
    ],
)
def test_what_stands_for_an_object(given: Any, right: str) -> None:
    assert _calls(_fed(_delta(0, "a", "f", given))) == [("a", "f", right, True)]


def test_one_letter_at_a_time_for_what_begins_oddly() -> None:
    for text, right in ((' \n{"a":1}', '{"a":1}'), ('"{\\"a\\":1}"', '{"a":1}'), ("null", "{}")):
        assert _calls(
            _fed(_delta(0, "a", "f", ""), *(_delta(0, arguments=letter) for letter in text))
        ) == [("a", "f", right, True)]


def test_no_arguments_at_all() -> None:
    assert _calls(_fed(_delta(0, "a", "f"))) == [("a", "f", "{}", True)]


@pytest.mark.parametrize("finish", ["length", "stop", "tool_calls"])
@pytest.mark.parametrize(
    "given", ['{"a":1}', "{}", '{"a":"}"} ', '"{\\"a\\":1}"', "null", {"a": 1}]
)
def test_what_is_whole_stays_whole_whatever_the_finish(given: Any, finish: str) -> None:
    right = (
        {"null": "{}", '"{\\"a\\":1}"': '{"a":1}'}.get(given, given.strip())
        if isinstance(given, str)
        else '{"a":1}'
    )
    assert _calls(_fed(_delta(0, "a", "f", given), finish=finish)) == [("a", "f", right, True)]


@pytest.mark.parametrize("finish", ["length", "stop", "tool_calls"])
@pytest.mark.parametrize(
    "given", ['{"a":1', '{"a', "{", '{"a":[1}', '{"a":"x}', '"{\\"a\\":1', "[1", '"', "[" * 5000]
)
def test_half_a_call_is_half_whatever_the_finish(given: str, finish: str) -> None:
    sent = given if given.startswith("{") else ""
    assert _calls(_fed(_delta(0, "a", "f", given), finish=finish)) == [("a", "f", sent, False)]


@pytest.mark.parametrize("given", ["", " ", "nul", "not json"])
def test_what_may_have_been_cut_before_it_began_is_half(given: str) -> None:
    assert _calls(_fed(_delta(0, "a", "f", given), finish="length")) == [("a", "f", "", False)]


def test_arguments_before_the_name() -> None:
    events = _fed(
        _delta(0, "a", None, '{"a"'),
        _delta(0, None, None, ":"),
        _delta(0, None, "f", "1"),
        _delta(0, arguments="}"),
    )
    assert _calls(events) == [("a", "f", '{"a":1}', True)]
    assert _calls(_fed(_delta(0, "a", None, "{}"), _delta(0, None, "f"))) == [
        ("a", "f", "{}", True)
    ]


@pytest.mark.parametrize(
    ("deltas", "finish", "lost"),
    [
        ([_delta(0, "a", None, "{}")], "stop", True),
        ([_delta(0, None, "", '{"a')], "length", True),
        ([_delta(0, "a", None, " "), _delta(1, "b", "f", "{}")], "tool_calls", True),
        ([_delta(0, "a")], "tool_calls", True),
        ([_delta(0, "a")], "stop", False),
        ([_delta(0)], "tool_calls", False),
        ([_delta(0, None, None, " ")], "stop", False),
        ([_delta(0, "a", "f", "{}")], "tool_calls", False),
    ],
)
def test_a_call_without_a_name_is_known(
    deltas: list[dict[str, Any]], finish: str, lost: bool
) -> None:
    calls = NativeCallReader()
    for delta in deltas:
        calls.feed(delta)
    calls.end(finish)
    assert calls.has_nameless(finish) is lost


def test_arguments_that_no_name_claims_are_not_kept_without_end() -> None:
    calls = NativeCallReader()
    for _ in range(50):
        calls.feed(_delta(0, "a", None, "x" * 200_000))
    assert calls.feed(_delta(0, None, "f", "{}")) == []
    assert calls.has_nameless("stop")


def test_calls_that_have_ended_are_not_looked_at_again() -> None:
    calls = NativeCallReader()
    for index in range(100):
        calls.feed(_delta(index, str(index), "f", "{}"))
    assert len(calls._open) == 1
    calls.end("tool_calls")
    assert not calls._open


def test_a_repeated_id_and_name() -> None:
    events = _fed(*(_delta(0, "a", "bash", piece) for piece in PIECES))
    assert _calls(events) == [("a", "bash", '{"command":"ls -la"}', True)]


def test_a_name_that_grows_or_comes_in_pieces() -> None:
    assert _calls(
        _fed(_delta(0, "a", "ba"), _delta(0, "a", "bash"), _delta(0, arguments="{}"))
    ) == [("a", "bash", "{}", True)]
    assert _calls(_fed(_delta(0, "a", "ba"), _delta(0, name="sh"), _delta(0, arguments="{}"))) == [
        ("a", "bash", "{}", True)
    ]
    assert _calls(_fed(_delta(0, "a", "bash", '{"a"'), _delta(0, name="x", arguments=":1}"))) == [
        ("a", "bash", '{"a":1}', True)
    ]


def test_missing_index() -> None:
    whole = _fed(_delta(None, "a", "f", '{"a":1}'), _delta(None, "b", "f", '{"a":2}'))
    assert _calls(whole) == [("a", "f", '{"a":1}', True), ("b", "f", '{"a":2}', True)]
    split = _fed(_delta(None, "a", "f", '{"a"'), _delta(None, arguments=":1}"))
    assert _calls(split) == [("a", "f", '{"a":1}', True)]
    nothing = _fed(_delta(None, None, "f", '{"a":1}'), _delta(None, None, "g", '{"a":2}'))
    assert _calls(nothing) == [(None, "f", '{"a":1}', True), (None, "g", '{"a":2}', True)]


def test_one_index_for_two_calls() -> None:
    events = _fed(_delta(0, "a", "f", "{}"), _delta(0, "b", "g", "{}"))
    assert _calls(events) == [("a", "f", "{}", True), ("b", "g", "{}", True)]


def test_one_index_for_two_whole_calls_without_ids() -> None:
    events = _fed(
        _delta(0, None, "f", '{"a":1}'),
        _delta(0, None, "f", ""),
        _delta(0, None, "f", '{"a"'),
        _delta(0, arguments=":2}"),
    )
    assert _calls(events) == [(None, "f", '{"a":1}', True), (None, "f", '{"a":2}', True)]
    assert _calls(_fed(_delta(0, None, "f", '{"a":1}'), _delta(0, None, None, " "))) == [
        (None, "f", '{"a":1}', True)
    ]


def test_text_after_the_end_of_a_call_is_not_part_of_it() -> None:
    calls = NativeCallReader()
    events = [*calls.feed(_delta(0, "a", "f", '{"a"')), *calls.end("tool_calls")]
    assert calls.feed(_delta(0, arguments=":1}")) == calls.end("tool_calls") == []
    assert _calls(events) == [("a", "f", '{"a"', False)]
    # Some say the finish with each call.
    events += [*calls.feed(_delta(1, "b", "g", "{}")), *calls.end("tool_calls")]
    assert _calls(events)[1:] == [("b", "g", "{}", True)]


def test_two_calls_in_turn() -> None:
    deltas = [
        _delta(0, "a", "f", '{"x"'),
        _delta(1, "b", "g", '{"y"'),
        _delta(0, arguments=":1}"),
        _delta(1, arguments=":2}"),
    ]
    assert _calls(_fed(*deltas)) == [("a", "f", '{"x":1}', True), ("b", "g", '{"y":2}', True)]


def test_without_the_function_around_it() -> None:
    assert _calls(_fed({"name": "f", "arguments": {"a": 1}})) == [(None, "f", '{"a":1}', True)]
    assert _calls(_fed({"index": 0, "id": "a", "function": None})) == []
    assert _calls(_fed({"index": 0, "function": {"arguments": "{}"}})) == []
