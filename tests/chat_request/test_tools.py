"""A tool is called by the name that the client knows."""

import pytest

from proxy.chat_request import tools
from proxy.chat_request.tools import DeclaredNames

TOOLS = tuple(
    {"type": "function", "function": {"name": name}}
    for name in ("bash", "my-server_doThing", "a-b", "a.b")
)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("bash", "bash"),
        ("my_server_do_thing", "my-server_doThing"),
        ("a_b", "a_b"),  # which of two?
        ("unknown", "unknown"),
    ],
)
def test_which_tool_is_meant(said: str, meant: str) -> None:
    assert (
        DeclaredNames((*TOOLS, "odd", {"type": "x"}, {"function": {"name": 5}})).resolve(said)
        == meant
    )


def test_other_spellings_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out: list[str] = []
    snake_case = tools._snake_case

    def counted(name: str) -> str:
        worked_out.append(name)
        return snake_case(name)

    monkeypatch.setattr(tools, "_snake_case", counted)
    names = tools.DeclaredNames(TOOLS)
    assert names.resolve("bash") == "bash"
    assert worked_out == []
    for _ in range(1_000):
        names.resolve("unknown")
    assert len(worked_out) == 1_000 + len(TOOLS)
