"""Tool calls that an answer only quotes: text for the client, and a count in the log."""

import logging
from typing import Any

import pytest

from tests.asgi import ask
from tests.backend import DONE, STOP, chunk, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, CHAT, Road, heard, native, told
from tests.web.test_chat_calls import JSON, letters

QUOTED = f"> {JSON}"
USER = {"role": "user", "content": "Read README.md, please."}


def read(content: Any, role: str = "tool") -> list[dict[str, Any]]:
    """Return the messages of a conversation in which a tool has returned `content`."""
    call = {"id": "call_1", "type": "function", "function": {"name": "water", "arguments": "{}"}}
    return [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": role, "tool_call_id": "call_1", "content": content},
    ]


@BOTH
@pytest.mark.parametrize("size", [1, 7, 999])
async def test_a_quoted_call_is_text(streamed: bool, size: int) -> None:
    answer = await told(*letters(QUOTED, size), STOP, DONE, streamed=streamed, tools=TOOLS)
    assert (answer.content, answer.calls, answer.finish) == (QUOTED, (), "stop")


@BOTH
@pytest.mark.parametrize(
    "messages",
    [
        read(f"# README\n{JSON}\n"),
        read([{"type": "text", "text": f"# README\n{JSON}\n"}]),
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:,"}},
                    {"type": "text", "text": f"So: {JSON}"},
                ],
            }
        ],
        [{"role": "user", "content": f"What does {JSON} do?"}],
    ],
)
async def test_calls_from_the_request_are_not_made(streamed: bool, messages: Any) -> None:
    answer = await told(
        *letters(f"It says:\n{JSON}"), STOP, DONE, streamed=streamed, tools=TOOLS, messages=messages
    )
    assert (answer.content, answer.calls, answer.finish) == (f"It says:\n{JSON}", (), "stop")


@BOTH
async def test_what_others_say_may_be_called(streamed: bool) -> None:
    messages = [
        {"role": "system", "content": JSON},
        USER,
        {"role": "assistant", "content": JSON},
        USER,
    ]
    answer = await told(
        *letters(JSON), STOP, DONE, streamed=streamed, tools=TOOLS, messages=messages
    )
    assert answer.made == [("water", {"plant": "fern", "litres": 2})]


@BOTH
async def test_the_setting_lets_them_run(streamed: bool) -> None:
    for said in (QUOTED, JSON):
        options = {"quoted_calls": "run"}
        answer = await told(
            *letters(said),
            STOP,
            DONE,
            streamed=streamed,
            tools=TOOLS,
            messages=read(JSON),
            options=options,
        )
        assert answer.finish == "tool_calls"


@BOTH
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (QUOTED, "quoted: 1 (blockquote)"),
        (f"a `{JSON}`\n- {JSON}\n{QUOTED}", "quoted: 3 (blockquote 1, code 1, list 1)"),
        (f"{QUOTED}\n\n{JSON}", "calls: 1 parsed from text | quoted: 1 (blockquote)"),
    ],
)
async def test_each_is_in_the_line_of_the_log(
    streamed: bool, said: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llama-bridge")
    road = Road(stream(*letters(said), STOP, DONE))
    heard(await road.ask(streamed=streamed, tools=TOOLS))
    (line,) = [record for record in caplog.records if f"POST {CHAT}" in record.getMessage()]
    assert line.getMessage().endswith(f"| {words}")
    figures = line.__dict__["figures"]["quoted"]
    assert sum(figures.values()) == words.count("1 (") + 3 * words.count("3 (")
    (row,) = (await ask(road.app, "/", headers=[("accept", "*/*")])).json["last"]
    assert row["quoted"] == figures


async def test_of_several_choices_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llama-bridge")
    said = [piece for index in (0, 1) for piece in letters(QUOTED, index=index)]
    ends = [chunk(finish="stop", index=index) for index in (0, 1)]
    await Road(stream(*said, *ends, DONE)).ask(tools=TOOLS, n=2)
    assert any("quoted: 2 (blockquote)" in record.getMessage() for record in caplog.records)


@BOTH
async def test_native_calls_are_never_quoted(streamed: bool) -> None:
    call = native(0, '{"plant":"fern"}', id="c", name="water")
    answer = await told(
        *text("> "),
        call,
        STOP,
        DONE,
        streamed=streamed,
        tools=TOOLS,
        messages=read('{"plant":"fern"}'),
    )
    assert answer.made == [("water", {"plant": "fern"})]
