"""What leaves an answer, and what is held."""

from proxy.parsing.calls import Tools
from proxy.parsing.event_buffer import Desk, Held, joined
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
    assert joined(events) == [
        Content("ab"),
        Reasoning("c"),
        *CALL,
        CallStart(1, None, "g"),
        CallArguments(1, "{}"),
    ]


def test_nothing_is_no_event() -> None:
    desk = Desk(Tools())
    desk.say("")
    desk.think("")
    assert desk.taken() == []
    assert not desk.said
    assert not desk.reasoned


def test_calls_are_numbered_as_they_leave() -> None:
    desk = Desk(Tools())
    desk.call([*CALL, Content("x"), Reasoning("dropped"), *CALL])
    assert desk.taken() == [
        *CALL,
        Content("x"),
        CallStart(1, None, "f"),
        CallArguments(1, "{}"),
        CallEnd(1, True),
    ]


def test_a_call_makes_those_in_the_thoughts_rehearsals() -> None:
    desk = Desk(Tools())
    desk.rehearse("raw", CALL)
    desk.rehearse("!", CALL)
    assert desk.held_in_thoughts == 4
    desk.call(CALL)
    desk.decide(cut=False)
    assert desk.taken() == [Reasoning("raw!"), *CALL]


def test_a_call_in_the_thoughts_alone_is_one() -> None:
    desk = Desk(Tools())
    desk.rehearse("raw", CALL)
    desk.decide(cut=False)
    assert desk.taken() == [CallStart(0, None, "f", "thoughts"), *CALL[1:]]


def test_a_cut_answer_makes_none() -> None:
    desk = Desk(Tools())
    desk.rehearse("raw", CALL)
    desk.decide(cut=True)
    assert desk.taken() == [Reasoning("raw")]


def test_both_readings_are_held() -> None:
    held = Held("a")
    held.add("bc", [Content("bc"), *CALL])
    assert (held.raw, held.size, held.calls) == ("abc", 3, CALL)
