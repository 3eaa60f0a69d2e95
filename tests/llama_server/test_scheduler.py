"""Whose turn it is: stories of requests for models that cannot all be loaded, and that nobody
waits for ever.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.llama_server.scheduler import ACTIVE_SECONDS, Rules, Scheduler, Swap, Ticket


class Room:
    """Turns with a clock that a test moves, and swaps that take no time."""

    def __init__(self, loaded: str = "", **rules: Any) -> None:
        self.turns = Scheduler(Rules(**rules))
        self.now = 0.0
        for model in loaded:
            self.load(model)

    def load(self, model: str) -> list[Ticket]:
        self.now += 1
        return self.turns.mark_loaded(model, self.now)

    def ask(self, model: str, *, tools: bool = True) -> Ticket:
        ticket = Ticket(model, tools)
        self.turns.waiting.append(ticket)
        self.turns.admit()
        return ticket

    def done(self, ticket: Ticket) -> None:
        self.now += 1
        self.turns.finish(ticket, self.now)
        self.turns.admit()

    def change(self) -> Swap | None:
        change = self.turns.next_swap()
        if change:
            for model in change.evict:
                self.turns.mark_unloaded(model)
            self.load(change.load)
        return change

    def served(self, ticket: Ticket) -> bool:
        return ticket in self.turns.running


def test_a_loaded_model_answers_at_once() -> None:
    room = Room("a")
    first, second = room.ask("a"), room.ask("a")
    assert room.served(first)
    assert room.served(second)
    assert room.turns.next_swap() is None


def test_a_swap_waits_for_running_answers() -> None:
    room = Room("a")
    first, other = room.ask("a"), room.ask("b")
    assert room.change() is None
    room.done(first)
    assert room.change() == Swap(("a",), "b")
    assert room.served(other)


def test_who_comes_later_for_the_loaded_model_does_not_overtake() -> None:
    room = Room("a")
    first, other, late = room.ask("a"), room.ask("b"), room.ask("a")
    assert not room.served(late)
    room.done(first)
    assert room.change() == Swap(("a",), "b")
    assert room.change() is None
    room.done(other)
    assert room.change() == Swap(("b",), "a")
    assert room.served(late)


def test_a_swap_serves_all_requests_that_wait_for_the_model() -> None:
    room = Room("a")
    running = room.ask("a")
    tickets = [room.ask(model) for model in "babab"]
    room.done(running)
    assert room.change() == Swap(("a",), "b")
    assert [room.served(ticket) for ticket in tickets] == [True, False, True, False, True]


def test_room_for_two_sends_away_the_one_used_longest_ago() -> None:
    room = Room("ab", capacity=2)
    room.done(room.ask("a"))
    ticket = room.ask("c")
    assert room.change() == Swap(("b",), "c")
    assert room.served(ticket)
    assert set(room.turns.loaded) == {"a", "c"}


def test_a_busy_model_is_never_sent_away_and_the_other_one_goes() -> None:
    room = Room("ab", capacity=2)
    answering, other = room.ask("a"), room.ask("c")
    assert room.change() == Swap(("b",), "c")
    assert room.served(answering)
    assert room.served(other)


def test_with_room_for_two_only_the_model_that_leaves_is_held_back() -> None:
    room = Room("ab", capacity=2)
    one, two = room.ask("a"), room.ask("b")
    waiting = room.ask("c")
    assert room.turns.next_swap() is None
    held, free = room.ask("a"), room.ask("b")  # a was used longer ago: it will go
    assert (room.served(held), room.served(free)) == (False, True)
    room.done(one)
    assert room.change() == Swap(("a",), "c")
    assert room.served(waiting)
    room.done(two)


def test_a_group_stays_and_leaves_together() -> None:
    room = Room("a", group=lambda model: {"a": "g", "b": "g"}.get(model, model))
    ticket = room.ask("b")
    assert room.change() == Swap((), "b")
    assert room.served(ticket)
    other = room.ask("c")
    assert room.change() is None
    room.done(ticket)
    assert room.change() == Swap(("a", "b"), "c")
    assert room.served(other)


def test_what_is_preloaded_goes_last() -> None:
    room = Room("ab", capacity=2, evict_last=lambda model: model == "a")
    room.done(room.ask("b"))
    room.ask("c")
    assert room.change() == Swap(("b",), "c")


def test_who_leaves_the_queue_is_forgotten() -> None:
    room = Room("a")
    first, gone = room.ask("a"), room.ask("b")
    room.done(gone)
    late = room.ask("a")
    assert room.served(late)
    room.done(first)
    room.done(first)  # twice does no harm
    assert not room.turns.waiting


def test_requests_whose_model_was_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room("a")
    ticket = room.ask("a", tools=False)
    room.turns.mark_unloaded("a")
    room.turns.mark_unloaded("a")
    room.done(ticket)
    assert room.turns.loaded == room.turns.last_tool_answer == {}


def test_the_active_model() -> None:
    room = Room("ab", capacity=2)
    assert room.turns.active_model(room.now) is None
    chat = room.ask("b", tools=False)
    assert room.turns.active_model(room.now) is None  # a chat is no work with tools
    room.done(chat)
    work = room.ask("a")
    assert room.turns.active_model(room.now) == "a"
    room.done(work)
    assert room.turns.active_model(room.now + ACTIVE_SECONDS - 1) == "a"
    assert room.turns.active_model(room.now + ACTIVE_SECONDS) is None


def test_an_idle_model_is_unloaded_in_time() -> None:
    room = Room("abc", capacity=3)  # loaded at 1, 2, 3
    patience = {"a": 10.0, "b": 20.0}.get
    assert room.turns.idle_models(3, patience) == ([], 8.0)
    assert room.turns.idle_models(11, patience) == (["a"], 11.0)
    ticket = room.ask("a")
    assert room.turns.idle_models(100, patience) == (["b"], None)
    room.now = 100
    room.done(ticket)
    assert room.turns.idle_models(102, patience) == (["b"], 9.0)
    waiting = room.ask("d")
    room.turns.mark_unloaded("b")
    assert room.turns.is_wanted("d")
    room.done(waiting)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=40), st.integers(1, 3)
)
def test_no_request_waits_forever_and_capacity_is_never_exceeded(
    story: list[tuple[str, int]], size: int
) -> None:
    room = Room(capacity=size, group=lambda model: "ab" if model in "ab" else model)
    tickets: list[Ticket] = []

    def check() -> None:
        together = room.turns.rules.group
        assert len({together(model) for model in room.turns.loaded}) <= size
        assert all(ticket.model in room.turns.loaded for ticket in room.turns.running)

    for model, ends in story:
        tickets.append(room.ask(model))
        for ticket in room.turns.running[:ends]:
            room.done(ticket)
        room.change()
        check()
    for _ in range(3 * len(tickets)):
        for ticket in list(room.turns.running):
            room.done(ticket)
        room.change()
        check()
    assert not room.turns.waiting
    assert not room.turns.running
