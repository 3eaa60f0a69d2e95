"""`llama-bridge parse`: what a model wrote comes in, the message it means goes out."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import Output, complaint, run

CALL = '<tool_call>{"name": "ls", "arguments": {"path": "/"}}</tool_call>'
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "ls",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
        },
    }
]

Type = Callable[[str], None]


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Type:
    """What stands on standard input."""

    def put(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_what_a_model_wrote_is_read_from_standard_input(types: Type, capsys: Output) -> None:
    types(f"<think>hm</think>Look: {CALL}")
    assert run("parse") == 0
    out, err = capsys.readouterr()
    message = json.loads(out)
    assert (message["role"], message["reasoning_content"]) == ("assistant", "hm")
    assert message["content"].endswith(CALL)  # without tools nothing is a call
    assert err == ("llama-bridge: no tools are declared (--tools FILE); calls stay text\n")


@pytest.mark.parametrize("tools", [[], [{"type": "function"}]])
def test_a_list_without_tools_is_reported(
    tools: list[Any], types: Type, capsys: Output, tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    types(CALL)
    assert run("parse", "--tools", str(tmp_path / "tools.json")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["content"] == CALL
    assert err.endswith("tools.json declares no tools; calls stay text\n")


def test_with_tools_a_call_is_a_call(types: Type, capsys: Output, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    for dialect in ("auto", "hermes"):
        types(CALL)
        assert run("parse", "--tools", str(tmp_path / "tools.json"), "--dialect", dialect) == 0
        out, err = capsys.readouterr()
        assert err == ""
        message = json.loads(out)
        assert message["content"] is None
        assert message["tool_calls"][0]["function"] == {"name": "ls", "arguments": '{"path":"/"}'}


@pytest.mark.parametrize(
    ("thinking", "content", "reasoning"),
    [("tags", "a</think>b", None), ("forced", "b", "a"), ("off", "a</think>b", None)],
)
def test_how_it_thinks(
    thinking: str, content: str, reasoning: str | None, types: Type, capsys: Output
) -> None:
    types("a</think>b")
    assert run("parse", "--thinking", thinking) == 0
    message = json.loads(capsys.readouterr().out)
    assert (message["content"], message.get("reasoning_content")) == (content, reasoning)


def test_bytes_that_are_no_text_do_not_stop_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xffb")))
    assert run("parse") == 0
    assert json.loads(capsys.readouterr().out)["content"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"{}", "tools.json does not contain a JSON list of tools"),
        (b"[", "tools.json is not valid JSON: "),
        (b"\xff", "tools.json is not valid JSON: "),
        (None, "tools.json: No such file"),
    ],
)
def test_tools_that_cannot_be_used(
    written: bytes | None, reason: str, types: Type, capsys: Output, tmp_path: Path
) -> None:
    if written is not None:
        (tmp_path / "tools.json").write_bytes(written)
    types(CALL)
    assert run("parse", "--tools", str(tmp_path / "tools.json")) == 2
    said = complaint(capsys)
    assert reason in said
    assert "tools.json" in said


def test_an_unknown_dialect(types: Type, capsys: Output) -> None:
    types(CALL)
    assert run("parse", "--dialect", "klingon") == 2
    assert complaint(capsys).startswith("unknown dialect 'klingon': auto, or any of ")
