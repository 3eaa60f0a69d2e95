"""Logging as text and JSON, and the status line of a terminal."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxy import logging_setup
from proxy.settings import load
from tests.asgi import ask
from tests.backend import Backend
from tests.bridge import bridge

log = logging.getLogger("llama-bridge")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Callable[[str], None]]]:
    """Return `logging_setup.configure`, called without handlers as in a new process."""
    root = logging.getLogger()
    level = root.level

    def begin(*arguments: Any) -> Callable[[str], None]:
        monkeypatch.setattr(root, "handlers", [])
        return logging_setup.configure(*arguments)

    yield begin
    root.setLevel(level)


Start = Callable[..., Callable[[str], None]]


def test_a_line_for_a_person(start: Start) -> None:
    paper = io.StringIO()
    show = start(load({}), paper)
    log.info("req_a GET / 200")
    log.debug("not this")
    show("nobody sees this in a file")
    assert paper.getvalue()[8:] == " req_a GET / 200\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_message_cannot_control_the_terminal_or_forge_lines(form: str, start: Start) -> None:
    paper = io.StringIO()
    start(load({"LOG_FORMAT": form}), paper)
    log.warning(
        "model %s",
        "a\n06:27:02 req_x\x1b[2J\x9b\udcff\u202e é",
        extra={"figures": {"model": "\x9b\udcff"}},
    )
    written = paper.getvalue()
    assert all(line.isprintable() for line in written.splitlines())
    written.encode()
    if form == "json":
        line = json.loads(written)
        assert (line["message"], line["model"]) == (
            "model a\n06:27:02 req_x\x1b[2J\x9b\udcff\u202e é",
            "\x9b\udcff",
        )
    else:
        first, second = written.splitlines()
        assert first.endswith(" model a")
        assert second == r"    06:27:02 req_x\x1b[2J\x9b\xff\u202e é"


async def test_a_line_for_a_program(start: Start) -> None:
    paper = io.StringIO()
    show = start(load({"LOG_FORMAT": "json"}), paper)
    call = await ask(bridge(Backend({"/props": RuntimeError("the inside")})), "/props")
    show("no line of JSON")
    failed, line = [json.loads(line) for line in paper.getvalue().splitlines()]
    assert (
        failed["request_id"]
        == line["request_id"]
        == call.headers["x-request-id"]
        == call.json["error"]["request_id"]
    )
    assert "RuntimeError: the inside" in failed["exception"]
    assert (failed["level"], line["level"]) == ("error", "warning")
    assert (line["method"], line["path"], line["status"], line["prompt_tokens"], line["calls"]) == (
        "GET",
        "/props",
        500,
        None,
        {},
    )
    assert line["message"].startswith(line["request_id"] + " GET /props 500 ")
    assert line["time"].endswith("+00:00")
    assert "id" not in line


@pytest.mark.parametrize(
    ("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_the_log_level(level: str, heard: int, start: Start) -> None:
    paper = io.StringIO()
    start(load({"LOG_LEVEL": level}), paper)
    for say in (log.debug, log.info, log.warning, log.error):
        say("a")
    logging.getLogger("httpcore").error("authorization: Bearer key")
    assert paper.getvalue().count("\n") == heard


def test_the_line_below_the_log(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setenv("COLUMNS", "21")
    screen = Screen()
    show = start(load({}), screen)

    def painted() -> Any:
        text = screen.getvalue()
        screen.seek(0)
        screen.truncate()
        return text

    show("prompt 1 of 2\x1b[2J")
    assert painted() == "\r\x1b[2Kprompt 1 of 2[2J"
    show("prompt 1 of 2\x1b[2J")
    assert painted() == ""
    log.info("a")
    text = painted()
    assert (text[:5], text[-19:]) == ("\r\x1b[2K", " a\nprompt 1 of 2[2J")
    show("x" * 99)
    assert painted() == "\r\x1b[2K" + "x" * 20
    show("")
    assert painted() == "\r\x1b[2K"
    log.info("b")
    assert painted()[8:] == " b\n"


def test_it_writes_where_errors_are_written(
    capsys: pytest.CaptureFixture[str], start: Start
) -> None:
    start(load({}))
    log.info("a")
    assert capsys.readouterr().err.endswith(" a\n")


def test_a_line_of_no_request(start: Start) -> None:
    paper = io.StringIO()
    start(load({"LOG_FORMAT": "json"}), paper)
    log.info("our llama-server is ready")
    line = json.loads(paper.getvalue())
    assert line.keys() == {"time", "level", "message"}


async def test_a_model_that_loads_is_shown_with_its_seconds() -> None:
    shown: list[str] = []
    enough = asyncio.Event()

    def show(line: str) -> None:
        shown.append(line)
        if len(shown) == 3:
            enough.set()

    async def opened() -> None:
        await enough.wait()

    await logging_setup.show_loading(
        opened(), show, lambda: "our llama-server is starting" if len(shown) else None, every=0.001
    )
    assert shown[0] == "loading, 0 s"
    assert shown[1].startswith("our llama-server is starting, ")
