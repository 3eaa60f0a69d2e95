"""One choice of an answer that is told twice: what the client has is not said again, and what
cannot be joined never looks joined.
"""

import pytest

from proxy.completion.resume import ResumeFilter
from proxy.dialects import Parser
from proxy.parsing.events import Finish
from tests.completion.one_choice import CALL, MADE, OTHER, Told
from tests.parsing.cuts import TOOLS

SPOKEN = "Größe <b & so on"


# what is known already


@pytest.mark.parametrize("at", range(len(SPOKEN) + 1))
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_word_for_word_it_is_skipped_and_what_follows_comes(at: int, size: int) -> None:
    whole = SPOKEN + " more"
    known = ResumeFilter(SPOKEN[:at])
    new = "".join(known.unsent(whole[place : place + size]) for place in range(0, len(whole), size))
    assert new == whole[at:]
    assert not known.has_unmatched


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("again", ["Grösse and more", "x", "Größe <b & so onto"[:-4] + "?"])
def test_in_other_words_nothing_comes(again: str, size: int) -> None:
    known = ResumeFilter(SPOKEN)
    assert (
        "".join(known.unsent(again[place : place + size]) for place in range(0, len(again), size))
        == ""
    )
    assert known.unsent(SPOKEN) == ""
    assert known.has_unmatched


def test_an_incomplete_repetition_has_diverged() -> None:
    known = ResumeFilter("abc")
    assert (
        known.has_unmatched,
        known.unsent("a"),
        known.has_unmatched,
        known.unsent("bcd"),
        known.has_unmatched,
    ) == (
        True,
        "",
        True,
        "d",
        False,
    )


# an answer that goes on


def test_what_goes_on_is_one_text() -> None:
    for at in range(len(CALL)):
        told = Told().text("So: " + CALL[:at])
        told.choice.continue_()
        told.text(CALL[at:], 3).ends("tool_calls")
        assert (told.content.strip(), told.calls) == ("So:", [MADE])
        assert not told.choice.diverged
        assert told.choice.text == "So: " + CALL


def test_a_finish_of_the_answer_before_does_not_count() -> None:
    told = Told().text("a").says(Finish("stop"))
    told.choice.continue_()
    assert told.choice.finish is None


def test_a_call_that_is_found_then_was_rescued() -> None:
    told = Told().text("So: ")
    told.choice.continue_()
    told.text(CALL).ends()
    assert [start.source for start in told.starts] == ["recovered"]
    assert told.record.calls == {"recovered": 1}


# thoughts that go on as text

THOUGHT = "I look at <it>.\nThen"
REST = " I water.\n</think>\n\nGo: " + CALL


@pytest.mark.parametrize("scanned", [THOUGHT, THOUGHT + "\n", THOUGHT + "\n<tool_", "\n" + THOUGHT])
def test_thoughts_go_on_in_the_text(scanned: str) -> None:
    told = Told().thinks(scanned)
    told._got(told.choice.continue_reasoning(Parser(TOOLS, thinking="forced")))
    told.text(REST, 3).ends()
    assert told.thoughts == (scanned + REST.partition("\n</think>")[0]).lstrip("\n")
    assert (told.content.strip(), told.calls) == ("Go:", [MADE])
    assert not told.choice.diverged
    assert told.choice.cannot_prefill  # as the text of an answer they would have no place


def test_a_call_in_the_thoughts_goes_on_too() -> None:
    for at in range(1, len(CALL)):
        told = Told().thinks("I water it.\n" + CALL[:at])
        told._got(told.choice.continue_reasoning(Parser(TOOLS, thinking="forced")))
        told.text(CALL[at:] + "\n</think>").ends()
        assert (told.thoughts, told.content, told.calls) == ("I water it.", "", [MADE])


# an answer that is told anew


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_of_an_exact_repetition_only_the_rest_is_new(size: int) -> None:
    whole = "Größe: <b>\n" + CALL
    # With the last brace the call is sent, and nothing is asked again.
    for at in range(whole.index("}}") + 2):
        told = Told().text(whole[:at]).again().text(whole, size).ends()
        assert (told.content.strip(), told.calls) == ("Größe: <b>", [MADE])
        assert not told.choice.diverged
        assert told.choice.text == whole


@pytest.mark.parametrize("at", [1, 5, 9, 22])
def test_repeated_reasoning_between_tags(at: int) -> None:
    thoughts = "I look at it, and then"
    told = (
        Told()
        .thinks(thoughts[:at])
        .again()
        .text(f"<think>\n{thoughts}\n</think>\n\nDone.", 2)
        .ends()
    )
    assert (told.thoughts, told.content) == (thoughts, "Done.")
    assert not told.choice.diverged


def test_in_other_words_the_prose_is_dropped_and_the_calls_come() -> None:
    told = (
        Told().text("I will do it.").again().text("Let me see.\n" + CALL + OTHER + " Done.").ends()
    )
    assert (told.content, told.calls) == ("I will do it.", [MADE, ("list_drones", "{}")])
    assert not told.choice.diverged


@pytest.mark.parametrize("again", ["Let me see.", "I will", "", "<think>I will do it.</think>"])
def test_another_answer_without_a_call_is_another(again: str) -> None:
    told = Told().text("I will do it.").again().text(again).ends()
    assert told.content == "I will do it."
    assert told.choice.diverged


def test_half_a_call_is_no_call() -> None:
    assert (
        Told()
        .text("I will do it.")
        .again()
        .text("No. " + CALL[:-20])
        .ends("length")
        .choice.diverged
    )


def test_other_thoughts_are_dropped_and_what_follows_them_comes() -> None:
    told = Told().thinks("I look").again().text("<think>Hm.</think>\n\nDone.").ends()
    assert (told.thoughts, told.content) == ("I look", "Done.")
    assert not told.choice.diverged
    assert Told().thinks("I look").again().text("<think>Hm.</think>").ends().choice.diverged


def test_an_answer_sent_once_is_never_changed() -> None:
    assert not Told().text("a").ends().choice.diverged
    assert not Told().ends().choice.diverged


def test_held_back_text_is_repeated_as_well() -> None:
    told = Told().text("a <tool_").again().text("a <tool_x").ends()
    assert (told.content, told.choice.diverged) == ("a <tool_x", False)


def test_the_third_telling_is_measured_by_all_that_the_client_has() -> None:
    told = Told().text("one two").again().text("one").again().text("one two three").ends()
    assert (told.content, told.choice.diverged) == ("one two three", False)
    told = Told().text("one two").again().text("one")
    told.choice.continue_()
    assert told.text(" two three").ends().content == "one two three"


def test_without_a_parser_too() -> None:
    told = Told(scans=False).text("one").thinks("hm")
    told.choice.restart(None)
    told.text("one two").thinks("hm, so").ends()
    assert (told.content, told.thoughts) == ("one two", "hm, so")
