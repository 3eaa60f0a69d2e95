"""One choice of an answer that is told twice: what the client has is not said again, and what cannot be joined never looks joined."""

import json
import time
from collections.abc import Iterable
from typing import Any

import pytest

from proxy.dialects import Parser
from proxy.errors import BrokenOff
from proxy.requests.question import read
from proxy.stream.desk import joined
from proxy.stream.events import CallArguments, CallEnd, CallStart, Content, Finish, Logprobs, Reasoning, TextEvent
from proxy.web.choice import Choice, Known
from proxy.web.record import Record
from tests.stream.cuts import TOOLS

CALL = '<tool_call>\n{"name": "water", "arguments": {"plant": "fern", "litres": 2}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'
MADE = ("water", '{"plant":"fern","litres":2}')
SPOKEN = "Größe <b & so on"


def question(more: str = "") -> Any:
    return read(f'{{"messages": [{{"role": "assistant", "tool_calls": [{{"id": "old"}}]}}]{more}}}'.encode())


class Told:
    """A choice, and what the client has of it."""

    def __init__(self, more: str = "", scans: bool = True) -> None:
        self.record = Record("id", "POST", "/")
        self.choice = Choice(Parser(TOOLS) if scans else None, question(more), {"old"}, self.record)
        self.events: list[TextEvent] = []

    def says(self, *events: TextEvent | Finish) -> "Told":
        for event in events:
            self._got(self.choice.take(event))
        return self

    def text(self, text: str, size: int = 1000) -> "Told":
        return self.says(*(Content(text[at : at + size]) for at in range(0, len(text), size)))

    def thinks(self, text: str) -> "Told":
        return self.says(Reasoning(text))

    def ends(self, finish: str = "stop") -> "Told":
        self.says(Finish(finish))
        self._got(self.choice.close(finish))
        return self

    def again(self, thinking: Any = "tags") -> "Told":
        self.choice.begins_again(Parser(TOOLS, thinking=thinking))
        return self

    def _got(self, events: Iterable[Any]) -> None:
        self.events += events

    @property
    def content(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Content))

    @property
    def thoughts(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Reasoning))

    @property
    def calls(self) -> list[tuple[str, str]]:
        """In the order in which they began; a call that begins twice fails."""
        starts = {event.index: event for event in self.events if isinstance(event, CallStart)}
        assert list(starts) == list(range(sum(isinstance(event, CallStart) for event in self.events)))
        return [
            (start.name, "".join(event.text for event in self.events if isinstance(event, CallArguments) and event.index == index))
            for index, start in starts.items()
        ]

    @property
    def starts(self) -> list[CallStart]:
        return [event for event in self.events if isinstance(event, CallStart)]


def native(arguments: str, *, name: str = "water", index: int = 0, id: str | None = "c1") -> list[TextEvent]:
    return [CallStart(index, id, name, "native"), CallArguments(index, arguments)]


# what is known already


@pytest.mark.parametrize("at", range(len(SPOKEN) + 1))
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_word_for_word_it_is_skipped_and_what_follows_comes(at: int, size: int) -> None:
    whole = SPOKEN + " more"
    known = Known(SPOKEN[:at])
    new = "".join(known.new(whole[place : place + size]) for place in range(0, len(whole), size))
    assert new == whole[at:]
    assert not known.parted


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("again", ["Grösse and more", "x", "Größe <b & so onto"[:-4] + "?"])
def test_in_other_words_nothing_comes(again: str, size: int) -> None:
    known = Known(SPOKEN)
    assert "".join(known.new(again[place : place + size]) for place in range(0, len(again), size)) == ""
    assert known.new(SPOKEN) == ""
    assert known.parted


def test_what_is_not_said_again_to_its_end_has_parted() -> None:
    known = Known("abc")
    assert (known.parted, known.new("a"), known.parted, known.new("bcd"), known.parted) == (True, "", True, "d", False)


def test_a_long_answer_in_single_letters_takes_linear_time() -> None:
    def seconds(length: int) -> float:
        known, began = Known("x" * length), time.process_time()
        for _ in range(length):
            known.new("x")
        assert not known.parted
        return time.process_time() - began

    seconds(1000)
    assert min(seconds(400_000) for _ in range(3)) < 20 * min(seconds(40_000) for _ in range(3))


# an answer that goes on


def test_what_goes_on_is_one_text() -> None:
    for at in range(len(CALL)):
        told = Told().text("So: " + CALL[:at])
        told.choice.goes_on()
        told.text(CALL[at:], 3).ends("tool_calls")
        assert (told.content.strip(), told.calls) == ("So:", [MADE])
        assert not told.choice.is_another
        assert told.choice.text == "So: " + CALL


def test_a_finish_of_the_answer_before_does_not_count() -> None:
    told = Told().text("a").says(Finish("stop"))
    told.choice.goes_on()
    assert told.choice.finish is None


def test_a_call_that_is_found_then_was_rescued() -> None:
    told = Told().text("So: ")
    told.choice.goes_on()
    told.text(CALL).ends()
    assert [start.source for start in told.starts] == ["rescued"]
    assert told.record.calls == {"rescued": 1}


# thoughts that go on as text

THOUGHT = "I look at <it>.\nThen"
REST = " I water.\n</think>\n\nGo: " + CALL


@pytest.mark.parametrize("scanned", [THOUGHT, THOUGHT + "\n", THOUGHT + "\n<tool_", "\n" + THOUGHT])
def test_thoughts_go_on_in_the_text(scanned: str) -> None:
    told = Told().thinks(scanned)
    told._got(told.choice.goes_on_thinking(Parser(TOOLS, thinking="forced")))
    told.text(REST, 3).ends()
    assert told.thoughts == (scanned + REST.partition("\n</think>")[0]).lstrip("\n")
    assert (told.content.strip(), told.calls) == ("Go:", [MADE])
    assert not told.choice.is_another
    assert told.choice.must_be_said_again  # as the text of an answer they would have no place


def test_a_call_in_the_thoughts_goes_on_too() -> None:
    for at in range(1, len(CALL)):
        told = Told().thinks("I water it.\n" + CALL[:at])
        told._got(told.choice.goes_on_thinking(Parser(TOOLS, thinking="forced")))
        told.text(CALL[at:] + "\n</think>").ends()
        assert (told.thoughts, told.content, told.calls) == ("I water it.", "", [MADE])


# an answer that is told anew


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_told_anew_word_for_word_only_the_rest_is_new(size: int) -> None:
    whole = "Größe: <b>\n" + CALL
    for at in range(whole.index("}}") + 2):  # with the last brace the call is sent, and nothing is asked again
        told = Told().text(whole[:at]).again().text(whole, size).ends()
        assert (told.content.strip(), told.calls) == ("Größe: <b>", [MADE])
        assert not told.choice.is_another
        assert told.choice.text == whole


@pytest.mark.parametrize("at", [1, 5, 9, 22])
def test_thoughts_told_anew_between_tags(at: int) -> None:
    thoughts = "I look at it, and then"
    told = Told().thinks(thoughts[:at]).again().text(f"<think>\n{thoughts}\n</think>\n\nDone.", 2).ends()
    assert (told.thoughts, told.content) == (thoughts, "Done.")
    assert not told.choice.is_another


def test_in_other_words_the_prose_is_dropped_and_the_calls_come() -> None:
    told = Told().text("I will do it.").again().text("Let me see.\n" + CALL + OTHER + " Done.").ends()
    assert (told.content, told.calls) == ("I will do it.", [MADE, ("list_drones", "{}")])
    assert not told.choice.is_another


@pytest.mark.parametrize("again", ["Let me see.", "I will", "", "<think>I will do it.</think>"])
def test_another_answer_without_a_call_is_another(again: str) -> None:
    told = Told().text("I will do it.").again().text(again).ends()
    assert told.content == "I will do it."
    assert told.choice.is_another


def test_half_a_call_is_no_call() -> None:
    assert Told().text("I will do it.").again().text("No. " + CALL[:-20]).ends("length").choice.is_another


def test_other_thoughts_are_dropped_and_what_follows_them_comes() -> None:
    told = Told().thinks("I look").again().text("<think>Hm.</think>\n\nDone.").ends()
    assert (told.thoughts, told.content) == ("I look", "Done.")
    assert not told.choice.is_another
    assert Told().thinks("I look").again().text("<think>Hm.</think>").ends().choice.is_another


def test_an_answer_that_was_told_once_is_never_another() -> None:
    assert not Told().text("a").ends().choice.is_another
    assert not Told().ends().choice.is_another


def test_what_was_still_held_back_is_told_anew_as_well() -> None:
    told = Told().text("a <tool_").again().text("a <tool_x").ends()
    assert (told.content, told.choice.is_another) == ("a <tool_x", False)


def test_the_third_telling_is_measured_by_all_that_the_client_has() -> None:
    told = Told().text("one two").again().text("one").again().text("one two three").ends()
    assert (told.content, told.choice.is_another) == ("one two three", False)
    told = Told().text("one two").again().text("one")
    told.choice.goes_on()
    assert told.text(" two three").ends().content == "one two three"


def test_without_a_parser_too() -> None:
    told = Told(scans=False).text("one").thinks("hm")
    told.choice.begins_again(None)
    told.text("one two").thinks("hm, so").ends()
    assert (told.content, told.thoughts) == ("one two", "hm, so")


# half a call, told anew


@pytest.mark.parametrize("again", [CALL, "So: " + CALL])
def test_half_a_native_call_goes_on_under_its_number_and_id(again: str) -> None:
    arguments = MADE[1]
    for at in range(1, len(arguments)):
        told = Told().says(*native(arguments[:at])).again().text(again, 3).ends("tool_calls")
        assert told.calls == [MADE]
        assert [(start.index, start.id, start.source) for start in told.starts] == [(0, "c1", "native")]
        assert told.choice.whole == 1
        assert not told.choice.is_another
        assert told.record.calls == {"native": 1}


def test_half_a_leaked_call_too() -> None:
    for at in range(CALL.index("}}") + 2):
        told = Told().text(CALL[:at]).again().text(CALL + OTHER).ends()
        assert told.calls == [MADE, ("list_drones", "{}")]
        assert [start.index for start in told.starts] == [0, 1]


def test_and_when_the_backend_itself_says_it_again() -> None:
    told = Told().says(*native('{"plant":"fe')).again()
    told.says(*native('{"plant":"fern"', id="c2"), CallArguments(0, "}"), CallEnd(0, whole=True)).ends()
    assert told.calls == [("water", '{"plant":"fern"}')]
    assert [start.id for start in told.starts] == ["c1"]


@pytest.mark.parametrize("again", [OTHER, CALL.replace("fern", "moss")], ids=["another name", "another beginning"])
def test_half_a_call_that_is_told_otherwise_breaks_off(again: str) -> None:
    told = Told().says(*native('{"plant":"fern","l'))
    told.again()
    with pytest.raises(BrokenOff, match=r"given anew without it \(connection lost\)"):
        told.text(again, 1)
    told.choice.close("error")
    assert told.calls == [("water", '{"plant":"fern","l')]
    assert told.choice.is_another


def test_where_that_shows_at_the_end_nothing_is_raised_but_it_is_another() -> None:
    """Calls in the thoughts are only known then, and the one who closes has no use for an error."""
    told = Told().says(*native('{"plant":"moss')).again().text("<think>" + CALL + "</think>").ends()
    assert told.choice.is_another
    assert told.calls == [("water", '{"plant":"moss')]


def test_half_a_call_that_is_not_told_again_is_missing() -> None:
    assert Told().says(*native('{"plant":"fern"')).again().text("Done.").ends().choice.is_another


def test_half_a_call_is_still_open_in_the_third_telling() -> None:
    told = Told().says(*native('{"plant":"fe')).again().text("So").again().text("So: " + CALL).ends()
    assert (told.calls, told.choice.is_another) == ([MADE], False)
    told = Told().says(*native('{"plant":"fe')).again().text(CALL[:-25]).again().text(CALL).ends()
    assert (told.calls, told.choice.is_another) == ([MADE], False)


def test_several_halves_in_their_order() -> None:
    told = Told().says(*native('{"plant":"fe'), *native("{", name="list_drones", index=1, id="c2")).again().text(CALL + OTHER).ends()
    assert told.calls == [MADE, ("list_drones", "{}")]
    assert [start.id for start in told.starts] == ["c1", "c2"]
    assert not told.choice.is_another
    told = Told().says(*native('{"plant":"fe'), *native("{", name="list_drones", index=1, id="c2")).again().text(CALL).ends()
    assert told.choice.is_another


def test_only_a_native_call_has_no_text_to_go_on_with() -> None:
    assert Told().says(*native("{")).choice.must_be_said_again
    assert not Told().text(CALL[:-20]).choice.must_be_said_again
    assert not Told().text("So: ").thinks("hm").choice.must_be_said_again
    assert not Told().says(*native("{")).again().choice.must_be_said_again


# an answer that is at hand


@pytest.mark.parametrize(
    ("said", "begins"),
    [
        ([], True),
        ([Content("I wat")], True),
        ([Content("I look")], False),
        ([Content("I water. And more")], False),
        ([Reasoning("hm")], True),
        (native("{"), False),
    ],
    ids=str,
)
def test_whether_it_begins_as_the_client_has_it(said: list[TextEvent], begins: bool) -> None:
    assert Told().says(*said).choice.begins([Content("I w"), Content("ater."), *native("{}")]) is begins


# numbers and ids


def test_one_numbering_for_what_the_backend_and_we_have_found() -> None:
    told = Told().text(CALL).says(*native('{"a":1', name="f"), CallEnd(0, whole=True)).text(OTHER).ends()
    assert [name for name, _ in told.calls] == ["water", "f", "list_drones"]
    assert [start.source for start in told.starts] == ["leaked", "native", "leaked"]
    assert told.choice.announced == told.choice.whole == 3


@pytest.mark.parametrize("given", ["old", None, ""])
def test_an_id_that_the_conversation_has_is_not_given_again(given: str | None) -> None:
    told = Told().says(*native("{}", id=given), *native("{}", index=1, id="new"), *native("{}", index=2, id="new"))
    first, second, third = [start.id for start in told.starts]
    assert second == "new"
    assert all(id is not None and id.startswith("call_") for id in (first, third))


def test_beyond_the_one_call_that_is_wanted() -> None:
    told = Told(', "parallel_tool_calls": false').text(CALL + OTHER).ends()
    assert told.calls == [MADE]
    assert told.choice.announced == told.choice.whole == 1


def test_without_a_parser_everything_passes() -> None:
    logprobs = Logprobs({"content": []})
    told = Told(scans=False).says(Content(CALL), Reasoning(CALL), *native("{}"), CallEnd(0, whole=True)).ends()
    assert list(told.choice.take(logprobs)) == [logprobs]
    assert [told.content, told.thoughts, told.calls] == [CALL, CALL, [("water", "{}")]]


def test_a_long_argument_in_single_letters_told_twice_takes_linear_time() -> None:
    def seconds(length: int) -> float:
        call = json.dumps({"name": "write", "arguments": {"path": "x" * length}})
        told, began = Told().text("<tool_call>\n" + call[:-3]), time.process_time()
        told.again().text(f"<tool_call>\n{call}\n</tool_call>", 1).ends()
        took = time.process_time() - began
        assert len(joined(told.events)) >= 3
        assert json.loads(told.calls[0][1]) == {"path": "x" * length}
        return took

    seconds(1000)
    assert min(seconds(40_000) for _ in range(2)) < 25 * min(seconds(4_000) for _ in range(3))
