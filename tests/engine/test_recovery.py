"""llama.cpp's own parser gives up, or its grammar does, or an answer is cut: the client sees one
clean answer each time.
"""

import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.app import Bridge
from proxy.settings import Settings
from proxy.tiny_model import MODEL
from tests.asgi import ask
from tests.engine.bridges import before, child, opened, place
from tests.engine.conversation import (
    CALL,
    CONTENT,
    LEAK,
    PLAIN,
    THOUGHTS,
    Answer,
    question,
    streamed,
    whole,
)
from tests.engine.engine import script
from tests.patience import until

ODD = MODEL.with_name("template_odd.jinja")
# What llama.cpp cannot resolve, and refuses with a 500 although asking again can never help.
PROPERTIES = {"command": {"type": "string"}, "mode": {"$ref": "#/nowhere"}}
PARAMETERS = {"type": "object", "properties": PROPERTIES, "required": ["command"]}
UNRESOLVED = {"type": "function", "function": {"name": "bash", "parameters": PARAMETERS}}


@pytest.fixture(scope="package")
async def odd(engines: Path) -> AsyncIterator[Bridge]:
    """Its template writes calls in a form of its own: llama.cpp derives a parser from it that
    refuses what the model writes.
    """
    async with opened(
        Settings(llama_server=script(engines / "odd", "--chat-template-file", str(ODD)))
    ) as bridge:
        yield bridge


@pytest.fixture(scope="package")
async def named(odd: Bridge) -> AsyncIterator[Bridge]:
    """The same server as somebody else's: its log is not seen."""
    async with opened(before(await place(odd))) as bridge:
        yield bridge


@pytest.fixture(scope="package")
async def thinking(engines: Path) -> AsyncIterator[Bridge]:
    """As odd, and each prompt opens the thoughts."""
    template = engines / "thinking.jinja"
    text = ODD.read_text().replace(r"assistant\n'", r"assistant\n<think>\n'")
    thoughts = (
        r"('<think>\n' + m.reasoning_content + '\n</think>\n\n' if m.reasoning_content else '') + "
    )
    template.write_text(text.replace("(m.content if", f"{thoughts}(m.content if"))
    async with opened(
        Settings(llama_server=script(engines / "thinking", "--chat-template-file", str(template)))
    ) as bridge:
        yield bridge


@pytest.fixture
def bridge(request: pytest.FixtureRequest) -> Bridge:
    bridge: Bridge = request.getfixturevalue(request.param)
    return bridge


class Lines:
    """What the log says of each question: how its calls were found, and which way it went."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "llama-bridge")
        self._caplog = caplog

    def ends(self) -> set[str]:
        lines = [
            record.getMessage()
            for record in self._caplog.records
            if " POST /v1/chat/completions " in record.getMessage()
        ]
        self._caplog.clear()
        return {line.partition(" | ")[2] for line in lines}


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return Lines(caplog)


async def both(bridge: Bridge, **more: Any) -> Answer:
    answers = (
        streamed(await ask(bridge, body=question(**more, stream=True))),
        whole(await ask(bridge, body=question(**more))),
    )
    assert answers[0] == answers[1]
    return answers[0]


async def test_the_parser_does_give_up(odd: Bridge) -> None:
    """Or the tests below would show nothing."""
    refused = await ask(odd, "/upstream/v1/chat/completions", question())
    assert "does not match the expected" in refused.text
    # What comes late would be taken for the next one's.
    await until(lambda: any("got exception" in line for line in child(odd).log.lines))


async def test_the_log_of_our_own_child_has_the_answer(odd: Bridge, lines: Lines) -> None:
    assert await both(odd) == CALL
    assert lines.ends() == {"calls: 1 recovered | recovered: from log or error"}


async def test_another_server_is_asked_once_more(named: Bridge, lines: Lines) -> None:
    assert await both(named) == CALL
    assert lines.ends() == {"calls: 1 recovered | recovered: raw"}


@pytest.mark.parametrize("bridge", ["odd", "named"], indirect=True)
async def test_what_it_can_read_is_left_alone(bridge: Bridge, lines: Lines) -> None:
    assert await both(bridge, tools=None) == Answer(PLAIN)
    assert lines.ends() == {""}


async def test_sent_reasoning_is_not_repeated(thinking: Bridge, lines: Lines) -> None:
    """What the log shows begins after them."""
    answer = await both(thinking, text="List the files, please. /think")
    assert (answer.content, answer.thoughts, answer.calls) == (CONTENT, THOUGHTS, CALL.calls)
    assert lines.ends() == {"calls: 1 recovered | recovered: from log or error"}


async def test_and_another_server_goes_on_from_them(thinking: Bridge, lines: Lines) -> None:
    async with opened(before(await place(thinking))) as bridge:
        answer = await both(bridge, text="List the files, please. /think")
    assert (answer.content, answer.thoughts, answer.calls) == (CONTENT, THOUGHTS, CALL.calls)
    assert lines.ends() == {"calls: 1 recovered | recovered: raw"}


@pytest.mark.parametrize(
    ("bridge", "ways"),
    [("native", "relaxed schemas"), ("odd", "relaxed schemas, from log or error")],
    indirect=["bridge"],
)
async def test_a_schema_that_makes_no_grammar(bridge: Bridge, ways: str, lines: Lines) -> None:
    refused = await ask(bridge, "/upstream/v1/chat/completions", question(tools=[UNRESOLVED]))
    assert "JSON schema error" in refused.text
    assert await both(bridge, tools=[UNRESOLVED]) == CALL
    assert lines.ends() == {f"calls: 1 recovered | recovered: {ways}"}


async def test_a_call_that_must_come_with_such_a_schema(native: Bridge, lines: Lines) -> None:
    assert await both(native, tools=[UNRESOLVED], tool_choice="required") == CALL
    assert lines.ends() == {"calls: 1 recovered | recovered: relaxed schemas"}


@pytest.mark.parametrize("bridge", ["native", "leaking", "odd", "named"], indirect=True)
async def test_an_answer_that_was_cut_is_never_completed(bridge: Bridge) -> None:
    """In prose, in the name, in the value and behind it, and also where the parser gives up over
    the half of it.
    """
    halves = 0
    for tokens in (9, 20, 23, 26, 29, 32):
        answer = await both(bridge, max_tokens=tokens)
        assert answer.finish == "length"
        assert (CONTENT + LEAK).startswith(answer.content or "x")
        for _, arguments in answer.calls:
            halves += 1
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                json.loads(arguments)
    assert halves > 1


async def test_raw_from_the_start(odd: Bridge, lines: Lines) -> None:
    async with opened(before(await place(odd), tool_parsing="raw")) as bridge:
        assert await both(bridge) == CALL
        assert lines.ends() == {"calls: 1 parsed from text"}


async def test_native_means_that_its_word_is_the_last(odd: Bridge) -> None:
    async with opened(before(await place(odd), tool_parsing="native")) as bridge:
        refused = await ask(bridge, body=question())
        assert (refused.status, refused.json["error"]["code"]) == (500, "backend_failed")


async def test_the_prompt_alone(odd: Bridge, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the templates whose calls the chat route loses; this one only stands for them."""
    monkeypatch.setattr("proxy.backends.llama_cpp.client._LOSES_CALLS", re.compile("XML style"))
    async with opened(before(await place(odd))) as bridge:
        assert await both(bridge) == CALL
        answer = await both(bridge, max_tokens=26)
        assert (answer.finish, answer.calls[0][0]) == ("length", "bash")
        usage = whole(await ask(bridge, body=question())).usage
    assert usage["prompt_tokens"] > 100
    assert 30 < usage["completion_tokens"] < 50
    assert lines.ends() == {"calls: 1 recovered | recovered: raw"}
