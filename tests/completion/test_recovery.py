"""llama.cpp's own parser gives up over an answer: the client gets one clean answer all the same,
or the error that explains it.
"""

import asyncio
from typing import Any

import httpx
import pytest

from proxy.web.chat import StreamStartTimeouts
from tests.backend import END, ROLE, STOP, Piece, chunk, event, script_of, stream, text
from tests.completion.recovery import (
    FAILED,
    FAILURES,
    JINJA,
    SAID,
    TEMPLATE,
    answers,
    ask,
    asked,
    error,
    failure_of,
    gives_up,
    is_raw,
    llama,
    refuses,
    watered,
)
from tests.web.round_trip import BOTH, Heard, failed, heard, native, of_deltas, payloads, refused
from tests.web.test_chat_calls import JSON, WATERED, letters

THOUGHT = "The user wants water."


def last_message(question: Any) -> Any:
    return question["messages"][-1]


# nothing was said


@BOTH
@FAILURES
async def test_it_is_asked_once_more_without_the_parser(
    streamed: bool, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    road = llama(failure_of(failure), answers())
    assert watered(await ask(road, streamed=streamed))
    first, second = asked(road)
    assert "reasoning_format" not in first
    assert is_raw(second)
    assert first["messages"] == second["messages"]
    (line,) = caplog.records
    assert line.levelname == "INFO"
    assert line.getMessage().endswith("| calls: 1 recovered | recovered: raw")


@BOTH
async def test_thoughts_and_prose_too(streamed: bool) -> None:
    road = llama(refuses(), answers("<think>\nHm.\n</think>\n\nHello."))
    assert heard(await ask(road, streamed=streamed)) == Heard("Hello.", "Hm.", finish="stop")


@BOTH
async def test_the_response_that_failed_is_closed_before(streamed: bool) -> None:
    first = gives_up(*text("So: "), chunk({}))

    def second(_: httpx.Request) -> httpx.Response:
        assert script_of(first).closed
        return answers()

    road = llama(first, second, template=refuses())
    assert watered(await ask(road, streamed=streamed))


@BOTH
async def test_where_that_gives_up_too_the_prompt_alone_is_completed(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    pieces: list[Piece] = [
        event({"content": SAID[at : at + 5], "stop": False}) for at in range(0, len(SAID), 5)
    ]
    last = event(
        {
            "content": "",
            "stop": True,
            "stop_type": "eos",
            "tokens_evaluated": 9,
            "tokens_predicted": 4,
        }
    )
    road = llama(refuses(), gives_up(), completion=stream(*pieces, last))
    call = await ask(road, streamed=streamed)
    assert watered(call)
    usage = payloads(call.body)[-2]["usage"] if streamed else call.json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (9, 4)
    assert [question.get("prompt", "") for question in asked(road)] == [
        "",
        "",
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    ]
    assert asked(road)[2]["preserved_tokens"][:2] == ["<think>", "</think>"]
    assert (
        caplog.records[0]
        .getMessage()
        .endswith("| calls: 1 recovered | recovered: raw, plain prompt")
    )


@BOTH
@pytest.mark.parametrize("message", [FAILED, JINJA, "Unable to generate parser for this template"])
async def test_never_more_than_two_further_questions_and_the_first_error_explains_it(
    streamed: bool, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    road = llama(
        refuses(message),
        refuses("Jinja Exception: second"),
        completion=refuses("Jinja Exception: third"),
    )
    status, told = refused(await ask(road, streamed=streamed))
    assert (status, told["message"]) == (500 if message == FAILED else 400, message)
    assert len(asked(road)) == 3
    assert caplog.records[0].getMessage().endswith(f"| recovered: raw, plain prompt | {message}")


async def test_after_the_head_it_is_an_event() -> None:
    road = llama(
        gives_up(),
        gives_up(message=JINJA),
        completion=stream(ROLE, event(error("Jinja Exception: third"))),
    )
    _, told = failed(await ask(road))
    assert (told["message"], len(asked(road))) == (FAILED, 3)


@BOTH
@pytest.mark.parametrize(
    "end",
    [[], [httpx.ReadError("reset")], [event(error("the slot is gone"))]],
    ids=["end", "reset", "error"],
)
async def test_another_answer_that_breaks_off_has_broken_off(
    streamed: bool, end: list[Piece]
) -> None:
    """That may pass: the client is told what would make it ask again, not what was wrong before."""
    road = llama(refuses(JINJA), stream(ROLE, *text("So: "), *end))
    call = await ask(road, streamed=streamed)
    _, told = failed(call) if streamed else refused(call)
    assert "Jinja" not in told["message"]
    assert len(asked(road)) == 2


async def test_another_answer_that_gives_up_later_is_got_another_way_again() -> None:
    pieces = [event({"content": SAID + "!", "stop": True})]
    road = llama(gives_up(), gives_up(*text("So")), completion=stream(*pieces))
    call = await ask(road)
    assert heard(call).made == [WATERED]
    assert (
        last_message({"messages": road.script.questions(TEMPLATE)[-1]["messages"]})["content"]
        == "So"
    )


@BOTH
async def test_the_head_may_have_left_before(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.03)
        return refuses()

    monkeypatch.setattr("proxy.web.chat.StreamStartTimeouts", lambda: StreamStartTimeouts(0.0, 0.0))
    assert watered(await ask(llama(slow, answers()), streamed=streamed))
    call = await ask(llama(slow, refuses(), completion=refuses()), streamed=streamed)
    _, told = failed(call) if streamed else refused(call)
    assert told["message"] == FAILED


# text was said


@BOTH
async def test_the_sent_text_is_at_the_end_and_only_the_rest_follows(streamed: bool) -> None:
    for at in (1, 4, 12, len(SAID) - 20):
        road = llama(gives_up(*letters(SAID[:at])), answers(SAID[at:]))
        assert watered(await ask(road, streamed=streamed))
        _, second = asked(road)
        assert last_message(second) == {"role": "assistant", "content": SAID[:at]}
        assert is_raw(second)


@BOTH
@pytest.mark.parametrize(
    "template",
    [
        refuses("prefill is incompatible with enable_thinking", 400),
        httpx.Response(200, json={"prompt": "x"}),
    ],
)
async def test_where_that_is_not_taken_a_repetition_is_skipped(
    streamed: bool, template: httpx.Response
) -> None:
    for at in (1, 4, 12, len(SAID) - 20):
        road = llama(gives_up(*letters(SAID[:at])), answers(), template=template)
        assert watered(await ask(road, streamed=streamed))
        _, second = asked(road)
        assert last_message(second)["role"] == "user"


@BOTH
async def test_of_other_words_only_the_calls_come(streamed: bool) -> None:
    road = llama(gives_up(*text("I look")), answers("Well: " + JSON), template=refuses())
    assert watered(await ask(road, streamed=streamed), "I look")


@BOTH
@pytest.mark.parametrize(
    "end", [END, [STOP, httpx.ReadError("reset")]], ids=["whole", "broken after its finish"]
)
async def test_other_words_without_a_call_are_no_end_of_it(
    streamed: bool, end: list[Piece]
) -> None:
    road = llama(
        gives_up(*text("I look")), stream(ROLE, *text("Well, no."), *end), template=refuses()
    )
    call = await ask(road, streamed=streamed)
    if streamed:
        deltas, told = failed(call)
        assert of_deltas(deltas).content == "I look"
    else:
        status, told = refused(call)
        assert status == 502
    assert (told["code"], "connection lost" in told["message"]) == ("answer_interrupted", True)
    assert len(asked(road)) == 2


@BOTH
async def test_half_a_call_of_the_backend_s_goes_on_where_it_was(streamed: bool) -> None:
    half = native(0, '{"plant":"fe', id="c9", name="water")
    road = llama(gives_up(*text("So: "), half), answers())
    call = await ask(road, streamed=streamed)
    assert watered(call)
    assert [made.id for made in heard(call).calls] == ["c9"]
    # It has no text that could be gone on with.
    assert last_message(asked(road)[1])["role"] == "user"


@BOTH
async def test_a_partial_call_that_is_repeated_differently_breaks_off(streamed: bool) -> None:
    half = native(0, '{"plant":"moss', id="c9", name="water")
    call = await ask(llama(gives_up(half), answers()), streamed=streamed)
    _, told = failed(call) if streamed else refused(call)
    assert "that the new answer lacks (connection lost)" in told["message"]


# thoughts were said


@BOTH
async def test_thoughts_go_on_in_the_text(streamed: bool) -> None:
    rest = " So I water.\n</think>\n\n" + SAID
    road = llama(gives_up(*letters(THOUGHT, key="reasoning_content")), answers(rest))
    assert watered(await ask(road, streamed=streamed), thoughts=THOUGHT + " So I water.")
    _, second = asked(road)
    assert last_message(second) == {
        "role": "assistant",
        "content": "",
        "reasoning_content": THOUGHT,
    }


@BOTH
@pytest.mark.parametrize("thinking", ["tags", "off"])
async def test_whatever_is_set_for_the_beginning_of_an_answer(
    streamed: bool, thinking: str
) -> None:
    road = llama(
        gives_up(*letters(THOUGHT, key="reasoning_content")),
        answers(" So.\n</think>\n\n" + SAID),
        thinking=thinking,
    )
    assert watered(await ask(road, streamed=streamed), thoughts=THOUGHT + " So.")


@BOTH
async def test_repeated_reasoning(streamed: bool) -> None:
    said = gives_up(*letters(THOUGHT[:9], key="reasoning_content"))
    road = llama(said, answers(f"<think>\n{THOUGHT}\n</think>\n\n{SAID}"), template=refuses())
    assert watered(await ask(road, streamed=streamed), thoughts=THOUGHT)


async def test_after_thoughts_that_went_on_as_text_it_begins_again() -> None:
    """As the text of an answer they would have no place in a prompt."""
    said = f"<think>\n{THOUGHT}\n</think>\n\n{SAID}"
    road = llama(
        gives_up(*letters(THOUGHT[:9], key="reasoning_content")),
        gives_up(*text(THOUGHT[9:15])),
        completion=stream(event({"content": said, "stop": True})),
    )
    assert watered(await ask(road), thoughts=THOUGHT)
    assert asked(road)[2]["prompt"].endswith("<|im_start|>assistant\n")
