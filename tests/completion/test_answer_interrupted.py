"""An answer that stops in the middle: never does it look finished, and never is a call that was
sent asked for again.
"""

import json

import httpx
import pytest

from proxy.backends.provider import FixedProvider
from tests.backend import DONE, END, ROLE, STOP, USAGE, Piece, chunk, event, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import (
    BOTH,
    Heard,
    Road,
    failed,
    heard,
    native,
    of_deltas,
    payloads,
    refused,
)
from tests.web.test_chat_calls import JSON, WATERED, XML, letters

RESET, SLOW = httpx.ReadError("reset"), httpx.ReadTimeout("slow")
ERROR = {"code": 500, "message": "the slot is gone", "type": "server_error"}
DAMAGED: list[Piece] = [event(b'{"choices":[{"delta":{"content":"build/old'), *text("late"), *END]
BREAKS: list[list[Piece]] = [
    [],
    [DONE],
    [RESET],
    [SLOW],
    [event({"error": ERROR}), DONE],
    [event({"error": "text only"})],
    DAMAGED,
]
BREAK = pytest.mark.parametrize(
    "end", BREAKS, ids=["end", "done", "reset", "silence", "error", "bare error", "damaged"]
)

# What OpenCode 1.18 takes for a passing trouble.
ASKED_AGAIN = ("server_error", "connection lost", "request timeout")

FIRST = [native(0, '{"plant":"fern",', id="c1", name="water"), native(0, '"litres":2}')]
HALF = [native(1, '{"path":"a', id="c2", name="write")]


@BREAK
async def test_text_that_breaks_off_ends_with_one_error_that_is_asked_again(
    end: list[Piece],
) -> None:
    deltas, error = failed(await Road(stream(ROLE, *text("Hello", " wor"), *end)).ask(tools=TOOLS))
    assert of_deltas(deltas).content == "Hello wor"
    assert any(words in json.dumps(error) for words in ASKED_AGAIN)


@BREAK
async def test_who_did_not_stream_gets_a_real_status(end: list[Piece]) -> None:
    status, error = refused(
        await Road(stream(ROLE, *text("Hello", " wor"), *end)).ask(streamed=False, tools=TOOLS)
    )
    assert status >= 500
    assert "Hello" not in json.dumps(error)


async def test_the_message_of_the_backend_is_passed_on() -> None:
    _, error = failed(await Road(stream(*text("a"), event({"error": ERROR}))).ask())
    assert error == {
        "message": "the slot is gone",
        "type": "server_error",
        "param": None,
        "code": "backend_failed",
    }


async def test_a_refusal_in_the_middle_is_not_asked_again() -> None:
    said = {
        "error": {"code": 400, "message": "server_error at 15003", "type": "invalid_request_error"}
    }
    _, error = failed(await Road(stream(*text("a"), event(said))).ask())
    assert (error["code"], error["message"]) == ("backend_refused", "s\u2060erver_error at 15,003")


@BREAK
@pytest.mark.parametrize(
    "half",
    [[native(0, '{"path":"a', id="c", name="write")], letters(XML[:-60]), letters(JSON[:-30])],
)
async def test_half_a_call_is_sent_unclosed_and_asked_again(
    half: list[Piece], end: list[Piece]
) -> None:
    deltas, error = failed(await Road(stream(*text("So: "), *half, *end)).ask(tools=TOOLS))
    (call,) = of_deltas(deltas).calls
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(call.arguments)
    assert any(words in json.dumps(error) for words in ASKED_AGAIN)


@BREAK
async def test_a_call_without_a_finish_is_not_known_to_be_whole(end: list[Piece]) -> None:
    """Its last brace was held back: no client has run it, so it can be asked for again."""
    deltas, _ = failed(await Road(stream(*FIRST, *end)).ask(tools=TOOLS))
    assert of_deltas(deltas).calls[0].arguments == '{"plant":"fern","litres":2'


@BOTH
@BREAK
@pytest.mark.parametrize(
    "said",
    [
        [*FIRST, *HALF],
        [*letters(JSON), *HALF],
        [*letters(JSON + "\n" + XML[:-60])],
        [*letters(JSON)],
    ],
    ids=["native", "mixed", "leaked", "alone"],
)
async def test_a_call_that_was_sent_is_not_asked_for_again(
    streamed: bool, said: list[Piece], end: list[Piece]
) -> None:
    """A client runs it as soon as it parses: the answer is finished, and the half one is
    dropped.
    """
    answer = heard(
        await Road(stream(*text("So: "), *said, *end)).ask(streamed=streamed, tools=TOOLS)
    )
    assert (answer.content.rstrip(), answer.finish) == ("So:", "tool_calls")
    assert (answer.calls[0].name, json.loads(answer.calls[0].arguments)) == WATERED
    for half in answer.calls[1:]:
        assert streamed
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(half.arguments)


async def test_usage_is_reported_also_then() -> None:
    call = await Road(stream(*FIRST, *HALF, RESET)).ask(tools=TOOLS)
    usage = payloads(call.body)[-2]["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


@BOTH
async def test_of_several_choices_one_with_a_call_is_enough(streamed: bool) -> None:
    others = [chunk({"content": "half"}, index=1)]
    call = await Road(stream(*FIRST, *HALF, *others, RESET)).ask(
        streamed=streamed, tools=TOOLS, n=2
    )
    assert heard(call, 0).finish == "tool_calls"
    assert (heard(call, 1).content, heard(call, 1).finish) == ("half", "length")


@BOTH
@pytest.mark.parametrize(
    "end",
    [
        [RESET],
        [SLOW],
        [event({"error": ERROR})],
        [USAGE, RESET],
        [b"data: {half", RESET],
        [b"data: {half"],
        DAMAGED,
    ],
)
@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_what_breaks_after_the_finish_was_whole(
    streamed: bool, finish: str, end: list[Piece]
) -> None:
    road = Road(stream(*text("Hello"), chunk(finish=finish), *end))
    assert heard(await road.ask(streamed=streamed)) == Heard("Hello", finish=finish)


@BOTH
async def test_a_leaked_call_that_was_held_is_still_found_then(streamed: bool) -> None:
    said = letters("Hm.\n" + JSON, key="reasoning_content")
    answer = heard(await Road(stream(*said, STOP, RESET)).ask(streamed=streamed, tools=TOOLS))
    assert (answer.made, answer.finish) == ([WATERED], "tool_calls")


async def test_one_choice_is_not_all_where_two_were_asked_for() -> None:
    failed(await Road(stream(*text("Hello"), STOP, RESET)).ask(n=2))
    assert heard(await Road(stream(*text("Hello"), *END)).ask(n=2)).content == "Hello"


async def test_what_was_held_back_leaves_before_the_error() -> None:
    deltas, _ = failed(await Road(stream(*text("a <tool_"), RESET)).ask(tools=TOOLS))
    assert of_deltas(deltas).content == "a <tool_"


@BOTH
@pytest.mark.parametrize(("end", "counted"), [(END, [1]), ([RESET], []), ([STOP, RESET], [1])])
async def test_only_a_finished_answer_counts_as_one(
    streamed: bool, end: list[Piece], counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that dies in each of its answers must not be started again at once, for ever."""
    answered: list[int] = []
    monkeypatch.setattr(FixedProvider, "report_success", lambda *_: answered.append(1))
    await Road(stream(*text("a"), *end)).ask(streamed=streamed)
    assert answered == counted
    answered.clear()
    await Road(stream(*FIRST, *HALF, RESET)).ask(streamed=streamed, tools=TOOLS)
    assert answered == []


@BOTH
async def test_the_log_says_why(streamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "llama-bridge")
    for said in ([*text("secret"), RESET], [*FIRST, *HALF, RESET]):
        caplog.clear()
        await Road(stream(*said)).ask(streamed=streamed, tools=TOOLS)
        (line,) = caplog.records
        assert line.levelname == "WARNING"
        assert line.getMessage().endswith("(connection lost)")
        assert "secret" not in line.getMessage()
