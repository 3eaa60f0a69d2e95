"""What a parser does with any dialect: it believes it, or gives its text back."""

import pytest

import proxy.parsing.window
from proxy.parsing.dialect import Dialect
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Content, Reasoning
from proxy.parsing.parser import Channel, ChoiceParser, ThinkingMode
from proxy.parsing.reader import Reader, Steps
from tests.parsing.cuts import Call, Seen, always, cuts, events_of, seen
from tests.parsing.toys import THINK, greedy, late, only, patient, regretful, shout


def test_a_call_leaves_while_it_is_read() -> None:
    parser = only(shout)
    assert parser.feed("a !f") == [Content("a ")]
    assert parser.feed("{b") == [CallStart(0, None, "f"), CallArguments(0, '{"x":"b')]
    assert parser.feed("c}") == [CallArguments(0, "c")]
    assert parser.feed("; d") == [CallArguments(0, '"}'), CallEnd(0, True), Content(" d")]
    assert parser.close() == []


def test_an_announced_call_that_breaks_off_is_not_whole() -> None:
    assert always(lambda: only(shout), "a !f{b|c") == Seen(
        "a c", (Call("f", '{"x":"b', whole=False),)
    )
    assert always(lambda: only(shout), "!f{b") == Seen("", (Call("f", '{"x":"b', whole=False),))


def test_a_grammar_that_raises_is_counted_and_the_answer_goes_on() -> None:
    parser = only(shout, late)
    assert seen(events_of(parser, ["a !f{b?c !g{}; d"])) == Seen(
        "a c  d", (Call("f", '{"x":"b', whole=False), Call("g", {"x": ""}))
    )
    assert parser.grammar_failures == {"shout": 1}
    parser = only(late)
    assert seen(events_of(parser, ["a !b? c"])) == Seen("a !b? c")
    assert parser.grammar_failures == {"late": 1}


def test_what_a_broken_grammar_meant_to_give_back_comes_back() -> None:
    for pieces in cuts("!ab.cd:ef"):
        assert seen(events_of(only(greedy), pieces)) == Seen(
            "cd:ef", (Call("greedy", "", whole=False),)
        )


def test_a_grammar_that_waits_for_ever_is_ended() -> None:
    assert always(lambda: only(patient, late), "a !b!c. !d") == Seen("a  !d", (Call("c", {}),))
    assert always(lambda: only(patient), "a !b") == Seen("a !b")


def test_a_header_that_waits_for_ever_holds_nothing_back() -> None:
    def frame(read: Reader) -> Steps[None]:
        read.mark(8)
        while True:
            yield

    framed = Dialect("framed", "", headers=("!",), header_grammar=frame)
    assert always(
        lambda: ChoiceParser([], dialects=[framed], reasoning_tags=()), "!abcdefghij</s>"
    ) == Seen("!abcdefghij</s>")
    parser = ChoiceParser([], dialects=[framed], reasoning_tags=(), held_limit=8)
    assert seen(parser.feed("!abcdefghijklmnopq")) == Seen("!abcdefghijklmnopq")


def test_a_call_that_has_begun_cannot_be_given_back() -> None:
    parser = only(regretful)
    assert seen(events_of(parser, "a !b")) == Seen("a b", (Call("regretful", {}),))
    assert parser.grammar_failures == {"regretful": 1}


def test_what_an_answer_does_not_read_is_text_at_its_end() -> None:
    """By construction: also if the computation that reads it were to wait for ever."""

    def waits(read: Reader) -> Steps[None]:
        yield from read.until(".")
        read.mark()
        yield from read.until(":")
        while True:
            yield

    rest: list[str] = []
    read = Reader()
    channel = Channel(read, waits(read), rest.append)
    for letter in "a.bc:de":
        channel.feed(letter)
    channel.end(cut=False)
    assert rest == ["bc:de"]


def test_the_next_dialect_gets_its_chance() -> None:
    assert always(lambda: only(shout, late), "!a!b.") == Seen("", (Call("b", {}),))
    assert always(lambda: only(late, shout), "!a!b,") == Seen("!a!b,")


def test_a_call_inside_what_failed_is_found() -> None:
    assert always(lambda: only(late), "!a!b!c.d") == Seen("!ad", (Call("c", {}),))


def test_what_fails_too_often_is_text_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy.parsing.window, "REREAD_FLOOR", 8)
    monkeypatch.setattr(proxy.parsing.window, "REREAD_SHARE", 0)
    assert always(lambda: only(late), "!a!b!c.d") == Seen("!ad", (Call("c", {}),))
    assert always(lambda: only(late), "!abcdefghi!b,!d!e.") == Seen(
        "!abcdefghi!b,", (Call("e", {}),)
    )


@pytest.mark.parametrize(
    ("text", "found"), [("!1!b,c", Seen("!1!b,c")), ("<think>!1!b,c", Seen("", (), "!1!b,c"))]
)
def test_doubtful_and_held_attempts_fail_as_often(
    text: str, found: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy.parsing.window, "REREAD_FLOOR", 0)
    monkeypatch.setattr(proxy.parsing.window, "REREAD_SHARE", 0)
    assert always(lambda: only(late, alone=late), text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("!12345!ab.", Seen("", (Call("ab", {}),))),
        ("!123456!ab.", Seen("!123456!ab.")),
        ("!12345678901234!ab.", Seen("!12345678901234!ab.")),
        ("!12345678901234!ab.!1!b.", Seen("!12345678901234!ab.", (Call("b", {}),))),
        ("<think>!1!b.</think>", Seen("", (Call("b", {}),))),
        ("<think>!1!b.!2!c.</think>", Seen("", (Call("b", {}), Call("c", {})))),
        ("<think>!1!b.!22!cd.!3!b.</think>", Seen("", (Call("b", {}),), "!1!b.!22!cd.")),
        ("<think>!1234567890!b.</think>", Seen("", (), "!1234567890!b.")),
        ("x\n```\n!1!b.\n", Seen("x\n```\n", (Call("b", {}),))),
        ("x\n```\n!1!b.\n\n\n\nabcdef", Seen("x\n```\n!1!b.\n\n\n\nabcdef")),
        ("x\n```\n!1!b.!1234567890!b.", Seen("x\n```\n!1!b.!1234567890!b.")),
        ('"!1!b.abcd', Seen('"abcd', (Call("b", {}),))),
        ('"!1!b.abcdefgh', Seen('"!1!b.abcdefgh')),
    ],
)
def test_no_more_is_held_than_the_limit(text: str, found: Seen) -> None:
    assert always(lambda: only(late, held_limit=10), text) == found


def test_a_streamed_call_has_no_limit() -> None:
    text = "!f{" + "x" * (5 << 20) + "};"
    assert seen(events_of(only(shout), [text])) == seen(
        events_of(only(shout), [text[:100], text[100:]])
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("!1!b.", Seen("", (Call("b", {}),))),
        (" \n!1!b.\n", Seen("", (Call("b", {}),))),
        ("!1!b.!2!c.", Seen("", (Call("b", {}), Call("c", {})))),
        ("!1!b. and more", Seen("!1!b. and more")),
        ("!1!b.\n\nand more", Seen("!1!b.\n\nand more")),
        ("first !1!b.", Seen("first !1!b.")),
        ("!1!b", Seen("!1!b")),
        ("```\n!1!b.\n```", Seen("", (Call("b", {}),))),
        ("```\n!1!b.\n```\nand more", Seen("```\n!1!b.\n```\nand more")),
        ("<think>a</think>!1!b.", Seen("", (Call("b", {}),), "a")),
    ],
)
def test_a_doubtful_call_must_be_the_whole_message(text: str, found: Seen) -> None:
    assert always(lambda: only(alone=late), text) == found


def test_after_a_call_nothing_is_alone() -> None:
    assert always(lambda: only(shout, alone=late), "!f{b};!1!b.") == Seen(
        "!1!b.", (Call("f", {"x": "b"}),)
    )


def test_a_doubtful_look_has_a_limit_too() -> None:
    assert always(lambda: only(alone=late, held_limit=10), "!1234567890!b.") == Seen(
        "!1234567890!b."
    )


def test_a_dialect_is_consistent() -> None:
    with pytest.raises(ValueError, match="a grammar needs openers"):
        Dialect("x", "", tentative_openers=("{",))
    with pytest.raises(ValueError, match="a grammar needs openers"):
        Dialect("x", "", tentative_grammar=shout)


def test_an_unknown_way_of_thinking_is_refused() -> None:
    with pytest.raises(ValueError, match="tags, forced, off"):
        # That is what is refused.
        ChoiceParser(dialects=(), reasoning_tags=(), thinking="loud")  # type: ignore[arg-type]


def test_halves_of_a_letter_are_joined() -> None:
    assert always(Plain, "a\ud83d\ude00b") == Seen("a😀b")
    assert always(Plain, "a\ud83db") == Seen("a\ufffdb")
    assert always(Plain, "a\ude00\ud83d") == Seen("a\ufffd\ufffd")


def Plain() -> ChoiceParser:  # noqa: N802 - stands for a class
    return ChoiceParser(dialects=(), reasoning_tags=(THINK,))


# thoughts that the backend has separated


def test_separated_thoughts_stream() -> None:
    parser = only(shout)
    assert parser.feed_reasoning("a\n") == [Reasoning("a")]
    assert parser.feed_reasoning("b ") == [Reasoning("\nb")]
    assert parser.feed("") == []
    assert parser.feed("c") == [Reasoning(" "), Content("c")]
    assert parser.feed_reasoning("d") == [Reasoning("\nd")]
    assert parser.close() == []


@pytest.mark.parametrize("thinking", ["tags", "off"])
def test_thoughts_and_text_stream_also_where_nothing_is_looked_for(thinking: ThinkingMode) -> None:
    parser = ChoiceParser(dialects=(), reasoning_tags=(), thinking=thinking)
    assert parser.feed_reasoning("a") == [Reasoning("a")]
    assert parser.feed("b") == [Content("b")]
    assert parser.close() == []


def test_a_call_in_separated_thoughts_alone_is_a_call() -> None:
    parser = only(shout)
    assert parser.feed_reasoning("so: !f{b}; ") == [Reasoning("so:")]
    assert parser.feed("text") == [Content("text")]
    assert parser.close() == [
        CallStart(0, None, "f", "parsed from reasoning"),
        CallArguments(0, '{"x":"b"}'),
        CallEnd(0, True),
    ]


@pytest.mark.parametrize("finish", ["length", "error"])
def test_in_a_cut_answer_it_is_none(finish: str) -> None:
    parser = only(shout)
    parser.feed_reasoning("!f{b};")
    assert parser.close(finish) == [Reasoning("!f{b};")]


def test_with_another_call_it_is_a_rehearsal() -> None:
    parser = only(shout)
    assert parser.feed_reasoning("!f{b};") == []
    assert seen(parser.feed("!f{c};")) == Seen("", (Call("f", {"x": "c"}),), "!f{b};")
    parser = only(shout)
    parser.feed_reasoning("!f{b};")
    assert parser.native_call_started() == [Reasoning("!f{b};")]
    assert parser.close() == []


def test_half_a_call_in_separated_thoughts_is_text() -> None:
    parser = only(shout)
    assert parser.feed_reasoning("a !f{b") == [Reasoning("a")]
    assert parser.feed("c") == [Reasoning(" !f{b"), Content("c")]


def test_separated_thoughts_end_forced_ones() -> None:
    parser = only(shout, thinking="forced")
    assert parser.feed_reasoning("a") == [Reasoning("a")]
    assert parser.feed("b") == [Content("b")]
    parser = only(shout, thinking="forced")
    assert parser.feed("a") == [Reasoning("a")]
    assert parser.feed_reasoning("b") == [Reasoning("\nb")]
    assert parser.feed("c") == [Content("c")]


def test_an_empty_answer() -> None:
    assert only(shout).close() == []
