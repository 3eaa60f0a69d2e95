"""Which requests start: tables of the rules, and that no request is starved."""

import pytest
from hypothesis import strategies as st

from proxy.llama_server.admission import (
    MAX_OVERTAKEN,
    SPARE_TOKENS,
    Admission,
    Capacity,
    Reservation,
)


async def count() -> int | None:  # not called: the rules do no I/O
    ...


def asked(
    prompt: int | None, output: int | None = 0, *, tools: bool = False, slots: int = 1
) -> Reservation:
    return Reservation(count, output, tools, slots, prompt=prompt)


def entered(rules: Admission, *requests: Reservation) -> list[bool]:
    for request in requests:
        rules.enter(request)
    return [request in rules.running for request in requests]


SHARED = Capacity(1000, 3)


@pytest.mark.parametrize(
    ("capacity", "requests", "started"),
    [
        (SHARED, [asked(300, 100), asked(300, 100)], [True, True]),
        (
            SHARED,
            [asked(300, 200 - SPARE_TOKENS), asked(300, 200 - SPARE_TOKENS)],
            [True, True],
        ),  # exactly
        (SHARED, [asked(300, 200 - SPARE_TOKENS), asked(300, 201 - SPARE_TOKENS)], [True, False]),
        # Alone it starts, and takes no more than there is.
        (SHARED, [asked(5000, 100), asked(1, 1)], [True, False]),
        # No max_tokens: the rest of the context.
        (SHARED, [asked(10, None), asked(1, 1)], [True, False]),
        (SHARED, [asked(1, 1), asked(10, None)], [True, False]),
        (SHARED, [Reservation(), asked(1, 1)], [True, False]),  # what cannot be counted
        (SHARED, [asked(None, 1), asked(1, 1)], [True, False]),  # not counted yet
        (SHARED, [asked(1, 1), asked(None, 1)], [True, False]),
        # Slots.
        (SHARED, [asked(1, 1)] * 0 + [asked(1, 1) for _ in range(4)], [True, True, True, False]),
        (SHARED, [asked(1, 1, slots=2), asked(1, 1, slots=2)], [True, False]),
        (SHARED, [asked(1, 1, slots=9)], [True]),  # the server refuses it
        # A cache for each slot.
        (
            Capacity(None, 2),
            [asked(9000, None), asked(None, None), asked(1, 1)],
            [True, True, False],
        ),
        (Capacity(1000, None), [asked(1, 1) for _ in range(9)], [True] * 9),
        (Capacity(), [Reservation() for _ in range(9)], [True] * 9),
    ],
)
def test_what_starts_at_once(
    capacity: Capacity, requests: list[Reservation], started: list[bool]
) -> None:
    rules = Admission(capacity)
    assert entered(rules, *requests) == started
    for request in requests:
        rules.leave(request, finished=True)
        rules.leave(request, finished=True)  # twice does no harm
    assert not rules.running
    assert not rules.waiting
    assert rules.reserved_tokens() == 0


def test_what_has_to_be_counted() -> None:
    rules = Admission(SHARED)
    running, known, takes_all, waiting = asked(None, 1), asked(5, 1), Reservation(), asked(None, 1)
    rules.running = [running, known, takes_all]
    assert rules.to_count(waiting) == [running, waiting]
    waiting.uncountable = True
    assert waiting.reserves_all
    assert rules.to_count(waiting) == [running]
    rules.capacity = Capacity(None, 2)
    assert rules.to_count(waiting) == []


def test_a_request_with_tools_goes_first() -> None:
    rules = Admission(SHARED)
    first, title, main = asked(900), asked(500), asked(500, tools=True)
    assert entered(rules, first, title, main) == [True, False, False]
    rules.leave(first, finished=True)
    assert rules.running == [main]
    assert (title.overtaken, title.admitted.is_set()) == (1, False)
    rules.leave(main, finished=True)
    assert rules.running == [title]


def test_a_small_one_does_not_pass_a_large_one() -> None:
    rules = Admission(SHARED)
    first, large, small = asked(400), asked(900), asked(10)
    assert entered(rules, first, large, small) == [True, False, False]
    rules.leave(large, finished=True)  # its client has left
    assert rules.running == [first, small]


def test_a_request_without_tools_is_not_starved() -> None:
    """However many requests with tools come, it starts after so many of them."""
    rules = Admission(SHARED)
    running, title = asked(900, tools=True), asked(900)
    entered(rules, running, title)
    started = 0
    while title not in rules.running:
        entered(rules, asked(900, tools=True), asked(900, tools=True))
        rules.leave(rules.running[0], finished=True)
        started += 1
    assert started == MAX_OVERTAKEN + 1


def test_what_an_unfinished_answer_reserves_is_kept_until_it_is_freed() -> None:
    rules = Admission(SHARED)
    left, other = asked(900), asked(900)
    entered(rules, left, other)
    assert rules.leave(left, finished=False)
    assert not rules.leave(left, finished=False)  # twice does no harm
    assert (rules.running, rules.ending, rules.reserved_tokens()) == (
        [],
        [left],
        900 + SPARE_TOKENS,
    )
    rules.free(left)
    assert rules.running == [other]


REQUEST = st.builds(
    asked,
    st.integers(0, 1200),
    st.one_of(st.none(), st.integers(0, 600)),
    tools=st.booleans(),
    slots=st.integers(1, 4),
)
