"""A conversation keeps its name from turn to turn."""

from typing import Any

from proxy.chat_request.session_id import session_id

SYSTEM, HELLO = {"role": "system", "content": "s"}, {"role": "user", "content": "hello"}


def _session(*messages: Any) -> str:
    return session_id({"messages": list(messages)})


def test_the_same_at_every_turn_and_another_for_another() -> None:
    assert _session(SYSTEM, HELLO) == _session(
        SYSTEM, HELLO, {"role": "assistant", "content": "x"}, HELLO
    )
    assert (
        len(
            {
                _session(SYSTEM, HELLO),
                _session(HELLO),
                _session(SYSTEM),
                _session(),
                _session("odd", SYSTEM),
            }
        )
        == 5
    )
    assert "hello" not in _session(HELLO)
