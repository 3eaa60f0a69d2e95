"""A tool is called by the name that the client knows."""

import pytest

from proxy.requests.tools import declared_name

TOOLS = tuple({"type": "function", "function": {"name": name}} for name in ("bash", "my-server_doThing", "a-b", "a.b"))


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
    assert declared_name(said, (*TOOLS, "odd", {"type": "x"}, {"function": {"name": 5}})) == meant
