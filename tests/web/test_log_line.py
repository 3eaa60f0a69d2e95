"""The log line of a chat request: figures, but no content and no keys."""

import logging
import re
from typing import Any

import httpx
import pytest

from tests.backend import DONE, END, ROLE, STOP, Piece, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, CHAT, Road, native
from tests.web.test_chat_calls import JSON, letters

SECRET = "the swordfish swims at noon"
KEYS = {"proxy_api_keys": "sk-proxy-key", "backend_api_key": "sk-backend-key"}
ENTER = [("authorization", "Bearer sk-proxy-key"), ("x-session-id", "ses_private")]


async def _line(
    caplog: pytest.LogCaptureFixture, *pieces: Piece, streamed: bool = True, **fields: Any
) -> logging.LogRecord:
    """Send a request, and return the only record that llama-bridge logged for it at any level."""
    caplog.set_level(logging.DEBUG, "llama-bridge")
    messages = [{"role": "user", "content": SECRET}]
    await Road(stream(*pieces), **KEYS).ask(
        streamed=streamed, headers=ENTER, tools=TOOLS, messages=messages, **fields
    )
    (line,) = [record for record in caplog.records if record.name == "llama-bridge"]
    assert not re.search(f"swordfish|fern|Hmm|sk-|ses_|{SECRET}", line.getMessage())
    return line


@BOTH
async def test_a_line_of_figures(streamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    said = [*letters("Hmm", key="reasoning_content"), *text(SECRET), *letters(JSON)]
    call = native(0, '{"plant":"fern"}', id="c", name="water")
    line = await _line(caplog, ROLE, *said, call, *END, streamed=streamed)
    assert line.levelname == "INFO"
    figures = r"in 20 \(cached 7\) out 5,( [\d,.]+ tok/s,)? first after \d\.\d\d s, \d\.\d\d s"
    assert re.fullmatch(
        rf"req_[a-z]{{12}} POST {CHAT} 200 m {figures} \| calls: 1 native, 1 parsed from text",
        line.getMessage(),
    )


@BOTH
async def test_what_was_not_counted_is_marked(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    line = await _line(caplog, *text(SECRET), STOP, DONE, streamed=streamed)
    assert re.search(r" in ~\d+ \(cached 0\) out ~\d+", line.getMessage())


@BOTH
async def test_an_answer_that_broke_off_is_a_warning(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    line = await _line(caplog, *text(SECRET), httpx.ReadError("reset"), streamed=streamed)
    assert line.levelname == "WARNING"
    assert "connection lost" in line.getMessage()
    assert f" {CHAT} {200 if streamed else 502} " in line.getMessage()


async def test_what_a_client_names_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    line = await _line(caplog, *text(SECRET), *END, model="m\n12:00:00 req_x POST /\x1b[2J")
    assert r" m\n12:00:00 req_x POST /\x1b[2J " in line.getMessage()
    assert line.getMessage().isprintable()


async def test_a_question_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    line = await _line(caplog, model=5)
    assert f"POST {CHAT} 400 " in line.getMessage()
    assert "`model` must be a string" in line.getMessage()
