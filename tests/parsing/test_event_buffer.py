"""What leaves an answer, and what is held."""

from proxy.parsing.calls import ToolIndex
from proxy.parsing.event_buffer import EventBuffer, Pending, merged
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Content, Reasoning, TextEvent

CALL: list[TextEvent] = [CallStart(0, None, "f"), CallArguments(0, "{}"), CallEnd(0, True)]


def test_pieces_are_joined() -> None:
    events = [
        Content("a"),
        Content("b"),
        Reasoning("c"),
        *CALL,
        CallStart(1, None, "g"),
        CallArguments(1, "{"),
        CallArguments(1, "}"),
    ]
    assert merged(events) == [
        Content("ab"),
        Reasoning("c"),
        *CALL,
        CallStart(1, None, "g"),
        CallArguments(1, "{}"),
    ]


def test_nothing_is_no_event() -> None:
    desk = EventBuffer(ToolIndex())
    desk.add_text("")
    desk.add_reasoning("")
    assert desk.take_events() == []
    assert not desk.has_text
    assert not desk.reasoning_shown


def test_calls_are_numbered_as_they_leave() -> None:
    desk = EventBuffer(ToolIndex())
    desk.add_calls([*CALL, Content("x"), Reasoning("dropped"), *CALL])
    assert desk.take_events() == [
        *CALL,
        Content("x"),
        CallStart(1, None, "f"),
        CallArguments(1, "{}"),
        CallEnd(1, True),
    ]


def test_a_call_makes_those_in_the_thoughts_rehearsals() -> None:
    desk = EventBuffer(ToolIndex())
    desk.hold_reasoning_calls("raw", CALL)
    desk.hold_reasoning_calls("!", CALL)
    assert desk.held_reasoning_size == 4
    desk.add_calls(CALL)
    desk.decide_reasoning_calls(cut=False)
    assert desk.take_events() == [Reasoning("raw!"), *CALL]


def test_a_call_in_the_thoughts_alone_is_one() -> None:
    desk = EventBuffer(ToolIndex())
    desk.hold_reasoning_calls("raw", CALL)
    desk.decide_reasoning_calls(cut=False)
    assert desk.take_events() == [CallStart(0, None, "f", "parsed from reasoning"), *CALL[1:]]


def test_a_cut_answer_makes_none() -> None:
    desk = EventBuffer(ToolIndex())
    desk.hold_reasoning_calls("raw", CALL)
    desk.decide_reasoning_calls(cut=True)
    assert desk.take_events() == [Reasoning("raw")]


def test_both_readings_are_held() -> None:
    held = Pending("a")
    held.add("bc", [Content("bc"), *CALL])
    assert (held.raw, held.size, held.calls) == ("abc", 3, CALL)
