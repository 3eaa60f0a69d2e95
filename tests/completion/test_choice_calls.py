"""The calls of one choice: half of one that is told anew, an answer that is at hand, numbers and
ids.
"""

import pytest

from proxy.errors import AnswerInterrupted
from proxy.parsing.events import CallArguments, CallEnd, Content, Logprobs, Reasoning, TextEvent
from tests.completion.one_choice import CALL, MADE, OTHER, Told, native

# half a call, told anew


@pytest.mark.parametrize("again", [CALL, "So: " + CALL])
def test_half_a_native_call_goes_on_under_its_number_and_id(again: str) -> None:
    arguments = MADE[1]
    for at in range(1, len(arguments)):
        told = Told().says(*native(arguments[:at])).again().text(again, 3).ends("tool_calls")
        assert told.calls == [MADE]
        assert [(start.index, start.id, start.source) for start in told.starts] == [
            (0, "c1", "native")
        ]
        assert told.choice.whole_calls == 1
        assert not told.choice.diverged
        assert told.record.calls == {"native": 1}


def test_half_a_leaked_call_too() -> None:
    for at in range(CALL.index("}}") + 2):
        told = Told().text(CALL[:at]).again().text(CALL + OTHER).ends()
        assert told.calls == [MADE, ("list_drones", "{}")]
        assert [start.index for start in told.starts] == [0, 1]


def test_also_when_the_backend_repeats_it() -> None:
    told = Told().says(*native('{"plant":"fe')).again()
    told.says(
        *native('{"plant":"fern"', id="c2"), CallArguments(0, "}"), CallEnd(0, whole=True)
    ).ends()
    assert told.calls == [("water", '{"plant":"fern"}')]
    assert [start.id for start in told.starts] == ["c1"]


@pytest.mark.parametrize(
    "again", [OTHER, CALL.replace("fern", "moss")], ids=["another name", "another beginning"]
)
def test_a_partial_call_that_is_repeated_differently_breaks_off(again: str) -> None:
    told = Told().says(*native('{"plant":"fern","l'))
    told.again()
    with pytest.raises(AnswerInterrupted, match=r"that the new answer lacks \(connection lost\)"):
        told.text(again, 1)
    told.choice.close("error")
    assert told.calls == [("water", '{"plant":"fern","l')]
    assert told.choice.diverged


def test_where_that_shows_at_the_end_nothing_is_raised_but_it_is_another() -> None:
    """Calls in the thoughts are only known then, and the one who closes has no use for an error."""
    told = Told().says(*native('{"plant":"moss')).again().text("<think>" + CALL + "</think>").ends()
    assert told.choice.diverged
    assert told.calls == [("water", '{"plant":"moss')]


def test_a_partial_call_that_is_not_repeated_interrupts_the_answer() -> None:
    assert Told().says(*native('{"plant":"fern"')).again().text("Done.").ends().choice.diverged


def test_half_a_call_is_still_open_in_the_third_telling() -> None:
    told = (
        Told().says(*native('{"plant":"fe')).again().text("So").again().text("So: " + CALL).ends()
    )
    assert (told.calls, told.choice.diverged) == ([MADE], False)
    told = Told().says(*native('{"plant":"fe')).again().text(CALL[:-25]).again().text(CALL).ends()
    assert (told.calls, told.choice.diverged) == ([MADE], False)


def test_several_halves_in_their_order() -> None:
    told = (
        Told()
        .says(*native('{"plant":"fe'), *native("{", name="list_drones", index=1, id="c2"))
        .again()
        .text(CALL + OTHER)
        .ends()
    )
    assert told.calls == [MADE, ("list_drones", "{}")]
    assert [start.id for start in told.starts] == ["c1", "c2"]
    assert not told.choice.diverged
    told = (
        Told()
        .says(*native('{"plant":"fe'), *native("{", name="list_drones", index=1, id="c2"))
        .again()
        .text(CALL)
        .ends()
    )
    assert told.choice.diverged


def test_only_a_native_call_has_no_text_to_go_on_with() -> None:
    assert Told().says(*native("{")).choice.cannot_prefill
    assert not Told().text(CALL[:-20]).choice.cannot_prefill
    assert not Told().text("So: ").thinks("hm").choice.cannot_prefill
    assert not Told().says(*native("{")).again().choice.cannot_prefill


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
    assert (
        Told().says(*said).choice.is_prefix_of([Content("I w"), Content("ater."), *native("{}")])
        is begins
    )


# numbers and ids


def test_one_numbering_for_what_the_backend_and_we_have_found() -> None:
    told = (
        Told()
        .text(CALL)
        .says(*native('{"a":1', name="f"), CallEnd(0, whole=True))
        .text(OTHER)
        .ends()
    )
    assert [name for name, _ in told.calls] == ["water", "f", "list_drones"]
    assert [start.source for start in told.starts] == [
        "parsed from text",
        "native",
        "parsed from text",
    ]
    assert told.choice.announced == told.choice.whole_calls == 3


@pytest.mark.parametrize("given", ["old", None, ""])
def test_an_id_that_the_conversation_has_is_not_given_again(given: str | None) -> None:
    told = Told().says(
        *native("{}", id=given), *native("{}", index=1, id="new"), *native("{}", index=2, id="new")
    )
    first, second, third = [start.id for start in told.starts]
    assert second == "new"
    assert all(id is not None and id.startswith("call_") for id in (first, third))


def test_beyond_the_one_call_that_is_wanted() -> None:
    told = Told(', "parallel_tool_calls": false').text(CALL + OTHER).ends()
    assert told.calls == [MADE]
    assert told.choice.announced == told.choice.whole_calls == 1


def test_without_a_parser_everything_passes() -> None:
    logprobs = Logprobs({"content": []})
    told = (
        Told(scans=False)
        .says(Content(CALL), Reasoning(CALL), *native("{}"), CallEnd(0, whole=True))
        .ends()
    )
    assert list(told.choice.take(logprobs)) == [logprobs]
    assert [told.content, told.thoughts, told.calls] == [CALL, CALL, [("water", "{}")]]
