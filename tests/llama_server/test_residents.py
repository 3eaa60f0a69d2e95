"""When idle slots have to be cleared, so that a conversation that comes back is not processed
again.
"""

from proxy.llama_server.admission import Reservation
from proxy.llama_server.residents import _LIMIT, Residents

TOTAL = 1000


def turn(
    residents: Residents, session: str | None, tokens: int, *running: Reservation, slots: int = 1
) -> bool:
    """Play one request from its start to its end; return whether it needed room."""
    request = Reservation(session=session, slots=slots)
    needed = residents.needs_room(request, running, TOTAL)
    residents.record_start(request, running)
    residents.record_answer(session, tokens)
    return needed


def test_two_conversations_larger_than_the_cache() -> None:
    residents = Residents()
    assert not turn(residents, "main", 600)  # new
    assert not turn(residents, "main", 610)  # in its slot
    assert not turn(residents, "sub", 500)  # new: there is nothing to bring back
    assert turn(residents, "main", 620)
    assert turn(residents, "sub", 510)
    assert not turn(residents, "sub", 520)


def test_two_conversations_that_fit_beside_each_other() -> None:
    residents = Residents()
    assert [turn(residents, session, 400) for session in ("main", "sub", "main", "sub")] == [
        False
    ] * 4


def test_what_runs_keeps_its_slot() -> None:
    residents = Residents()
    turn(residents, "main", 400)
    turn(residents, "sub", 700)
    running = Reservation(session="sub", output=0, prompt=500)
    assert not turn(residents, "main", 400, running)  # no other slot is idle
    assert residents.held == {"main", "sub"}
    turn(residents, "third", 300, running)
    assert turn(residents, "main", 400, running)  # that of the third is


def test_a_conversation_of_unknown_size_counts_as_large() -> None:
    residents = Residents()
    turn(residents, "main", 0)
    turn(residents, None, 100)  # a request that passes through
    assert turn(residents, "main", 10)


def test_several_choices_need_empty_slots() -> None:
    residents = Residents()
    assert not turn(residents, "main", 10, slots=2)
    assert turn(residents, "other", 10, slots=2)


def test_only_the_last_conversations_are_remembered() -> None:
    residents = Residents()
    turn(residents, "first", 900)
    for number in range(_LIMIT):
        turn(residents, str(number), 900)
    assert len(residents.sizes) == _LIMIT
    assert not turn(residents, "first", 900)
    assert turn(residents, "20", 900)
