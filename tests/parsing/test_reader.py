"""Each primitive, in every cutting."""

import re
import tracemalloc

import pytest

from proxy.parsing.reader import Reader, Steps, complete
from proxy.parsing.window import HELD_LIMIT
from tests.parsing.cuts import everywhere


@pytest.mark.parametrize(
    ("text", "met", "before", "rest"),
    [
        ("ab</x>c", "</x>", "ab", "c"),
        ("ab</y>c", None, "ab</y>c", ""),
        ("ab</", None, "ab</", ""),
        ("<tool_call>1", "<tool_call>", "", "1"),
        ("<tool", "<tool", "", ""),
        ("<tool_cal", "<tool", "", "_cal"),
        ("a<tool_</x>", "<tool", "a", "_</x>"),
        ("", None, "", ""),
    ],
)
def test_until(text: str, met: str | None, before: str, rest: str) -> None:
    def steps(read: Reader) -> Steps[tuple[str | None, str]]:
        parts: list[str] = []
        found = yield from read.until("</x>", "<tool", "<tool_call>", emit=parts.append)
        return found, "".join(parts)

    assert everywhere(steps, text) == ((met, before), rest)


def test_until_without_a_listener() -> None:
    assert everywhere(lambda read: read.until("."), "ab.c") == (".", "c")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<tool_call>x", "<tool_call>"),
        ("<tool>", "<tool"),
        ("<tool", "<tool"),
        ("<too", ""),
        ("x<tool", ""),
        ("", ""),
        ("<tool_calm", "<tool"),
    ],
)
def test_peek_and_take(text: str, found: str) -> None:
    assert everywhere(lambda read: read.peek("<tool", "<tool_call>"), text) == (found, text)
    assert everywhere(lambda read: read.take("<tool", "<tool_call>"), text) == (
        found,
        text[len(found) :],
    )


def test_next_skip_run() -> None:
    assert everywhere(lambda read: read.peek_char(), "ab") == ("a", "ab")
    assert everywhere(lambda read: read.peek_char(), "") == ("", "")
    assert everywhere(lambda read: read.skip_blanks(), " \n\t x ") == (" \n\t ", "x ")
    assert everywhere(lambda read: read.skip_blanks(), "x") == ("", "x")
    assert everywhere(lambda read: read.take_while(re.compile(r"\d*")), "12345a") == ("12345", "a")
    assert everywhere(lambda read: read.take_while(re.compile(r"\d+")), "a1") == ("", "a1")


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("<a=b> x", "<a=b>"),
        ("<a=b\nx", "<a=b"),
        ("<a<b>", "<a"),
        ("<a=b", ""),
        ("a>", ""),
        ("", ""),
        ("<" + "x" * 300 + ">", ""),
        ("<" + "x" * 254 + ">", "<" + "x" * 254 + ">"),
    ],
)
def test_tag(text: str, tag: str) -> None:
    assert everywhere(lambda read: read.peek_tag(), text) == (tag, text)


def test_marks_give_everything_back() -> None:
    def steps(read: Reader) -> Steps[tuple[str, str, str]]:
        yield from read.until(".")
        outer = read.mark()
        yield from read.until(".")
        inner = read.mark()
        yield from read.until(".")
        whole, part = read.since(outer), read.since(inner)
        read.rewind(inner)
        again = yield from read.take_while(re.compile("[a-z]*"))
        read.release(inner)
        read.rewind(outer)
        read.release(outer)
        return whole, part, again

    assert everywhere(steps, "ab.cd.ef.gh") == (("cd.ef.", "ef.", "ef"), "cd.ef.gh")


def test_back_and_drop() -> None:
    def steps(read: Reader) -> Steps[int]:
        yield from read.until("<x>")
        read.back(3)
        read.advance(1)
        return read.position

    assert everywhere(steps, "ab<x>c") == (3, "x>c")


def test_unwinding_unreads_to_the_first_mark() -> None:
    def steps(read: Reader) -> Steps[str]:
        read.rewind_to(0)
        outer = read.mark()
        yield from read.until("a")
        depth = read.mark_count
        read.mark()
        yield from read.until("b")
        read.mark()
        yield from read.until("c")
        read.rewind_to(depth)
        return read.since(outer)

    assert everywhere(steps, "abcd") == ("a", "bcd")


def test_a_mark_that_was_given_up_is_none() -> None:
    def steps(read: Reader) -> Steps[None]:
        yield from read.until("a")
        given_up = read.mark()
        read.release_to(0)
        another = read.mark()
        yield from read.until("b")
        read.release(given_up)
        with pytest.raises(ValueError, match="given up"):
            read.rewind(given_up)
        read.rewind(another)

    assert everywhere(steps, "abc") == (None, "bc")


def test_what_is_kept_comes_back_from_many_blocks() -> None:
    text = "".join(f"{number}," for number in range(2000))

    def steps(read: Reader) -> Steps[list[str]]:
        yield from read.until(",")
        outer, kept = read.mark(), []
        yield from read.until("1000,")
        older = read.mark()
        yield from read.until("1200,")
        newer = read.mark()
        yield from read.until("1999,")
        kept.append(read.since(newer))
        read.rewind(newer)
        read.release(outer)
        yield from read.until("1500,")
        kept.append(read.since(older))
        read.rewind(older)
        read.release(older)
        yield from read.until("1300,")
        kept.append(read.since(newer))
        read.release(newer)
        return kept

    kept, rest = everywhere(steps, text)
    assert kept == [
        text[text.index("1201,") :],
        text[text.index("1001,") : text.index("1501,")],
        text[text.index("1201,") : text.index("1301,")],
    ]
    assert rest == text[text.index("1301,") :]


def test_marks_that_follow_each_other_keep_no_more_than_the_newest_needs() -> None:
    read = Reader()
    steps = read.until("!")
    next(steps)
    mark = read.mark()
    tracemalloc.start()
    for _ in range(100):
        for _ in range(300):
            read.push("x")
            next(steps)
        newer = read.mark()
        read.release(mark)
        mark = newer
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


def test_what_a_mark_keeps_of_single_letters_takes_little_more_than_the_letters() -> None:
    """Were there an entry for each letter, 50,000 of them would take at least 400,000 bytes."""
    read = Reader()
    steps = read.until("!")
    next(steps)
    mark = read.mark()
    tracemalloc.start()
    for _ in range(50_000):
        read.push("x")
        next(steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read.since(mark) == "x" * 50_000
    assert peak < 100_000


def test_all_that_is_left_can_be_had_at_any_time() -> None:
    read = Reader()
    read.push("abcd")
    next(read.until("!"))
    assert (read.take_rest(), read.take_rest()) == ("", "")
    read.push("ab")
    read.mark(3)
    next(read.until("!"))
    read.push("cd")
    assert read.hidden
    assert (read.take_rest(), read.take_rest(), read.hidden) == ("abcd", "", False)


def test_no_more_is_kept_than_allowed() -> None:
    read = Reader()
    read.push("ab")
    mark = read.mark(4)
    steps = read.until("!")
    next(steps)
    read.push("cdef!")
    next(steps)
    assert read.hidden
    assert read.since(mark) == "abcd"
    read.end()
    next(steps)
    assert read.hidden
    read.release(mark)
    assert not read.hidden
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "!"
    assert Reader().limit == HELD_LIMIT == 4 << 20


def test_complete_needs_the_whole_text() -> None:
    read = Reader("ab")
    with pytest.raises(AssertionError):
        complete(read.until("!"))
    read.end()
    assert complete(read.peek_char()) == ""
