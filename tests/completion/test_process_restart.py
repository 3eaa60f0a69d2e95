"""Our own child dies in the middle of an answer: after restart goes on where that one stopped,
and the client sees one clean answer.
"""

import asyncio
from typing import Any

import httpx
import pytest

from proxy.backends.provider import FixedProvider
from proxy.errors import CrashesModel, ModelLoading
from tests.backend import ROLE, STOP, Piece, chunk, event, stream, text
from tests.completion.recovery import (
    JINJA,
    SAID,
    TOKENIZE,
    answers,
    ask,
    asked,
    gives_up,
    is_raw,
    llama,
    losing,
    refuses,
    watered,
)
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, Heard, Road, failed, heard, native, payloads, refused
from tests.web.test_chat_calls import WRITTEN, XML, letters

DIES = httpx.ReadError("reset")
THOUGHT = "The user wants water."
PROSE = "I look at the fern, and then I shall say what it needs."


class Lives:
    """Of a child of ours, as those who ask it see them."""

    def __init__(self) -> None:
        self.begun = 1
        self.error: Exception | None = None

    async def next(self, _place: FixedProvider) -> bool:
        self.begun += 1
        if self.error is not None:
            raise self.error
        return True


@pytest.fixture(autouse=True)
def lives(monkeypatch: pytest.MonkeyPatch) -> Lives:
    lives = Lives()
    monkeypatch.setattr(FixedProvider, "wait_for_restart", lambda place: lives.next(place))
    return lives


def dies(*said: Piece) -> httpx.Response:
    return stream(ROLE, *said, DIES)


def last_message(question: Any) -> Any:
    return question["messages"][-1]


async def broken(road: Road, *, streamed: bool, **fields: Any) -> dict[str, Any]:
    """What the client is told at the end."""
    call = await ask(road, streamed=streamed, **fields)
    if streamed:
        return failed(call)[1]
    status, told = refused(call)
    assert status == 502
    return told


@BOTH
@pytest.mark.parametrize(
    "said",
    [
        [ROLE],
        [],
        [chunk({})],
        [ROLE, event({"choices": [], "prompt_progress": {"total": 9, "processed": 3}})],
    ],
)
async def test_before_any_output_the_request_is_repeated(
    streamed: bool, said: list[Piece], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    road = llama(stream(*said, DIES), answers())
    assert watered(await ask(road, streamed=streamed))
    first, second = asked(road)
    assert first == second
    (line,) = caplog.records
    assert line.levelname == "INFO"
    assert line.getMessage().endswith("| calls: 1 recovered | recovered: after restart")


@BOTH
async def test_the_sent_text_is_continued(streamed: bool, lives: Lives) -> None:
    for at in range(1, len(PROSE), 7):
        road = llama(dies(*letters(PROSE[:at])), answers(PROSE[at:]))
        assert heard(await ask(road, streamed=streamed)) == Heard(PROSE, finish="stop")
        _, second = asked(road)
        assert is_raw(second)
        assert last_message(second) == {"role": "assistant", "content": PROSE[:at]}
    assert lives.begun == len(range(1, len(PROSE), 7)) + 1


@BOTH
async def test_also_in_the_middle_of_a_call_that_leaks(streamed: bool) -> None:
    for at in range(1, XML.index("</function>") + 2, 5):
        road = llama(dies(*letters(XML[:at])), answers(XML[at:]))
        answer = heard(await ask(road, streamed=streamed))
        assert (answer.content, answer.made, answer.finish) == ("", [WRITTEN], "tool_calls")


@BOTH
async def test_and_in_the_middle_of_its_thoughts(streamed: bool) -> None:
    road = llama(
        dies(*letters(THOUGHT, key="reasoning_content")), answers(" So.\n</think>\n\n" + SAID)
    )
    assert watered(await ask(road, streamed=streamed), thoughts=THOUGHT + " So.")


@BOTH
async def test_it_may_die_twice(
    streamed: bool, lives: Lives, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    road = llama(dies(*text(PROSE[:9])), dies(*text(PROSE[9:20])), answers(PROSE[20:]))
    assert heard(await ask(road, streamed=streamed)).content == PROSE
    assert last_message(asked(road)[2])["content"] == PROSE[:20]
    assert lives.begun == 3
    assert caplog.records[0].getMessage().endswith("| recovered: after restart, after restart")


@BOTH
async def test_a_third_time_the_answer_has_broken_off(streamed: bool) -> None:
    road = llama(dies(*text(PROSE[:9])), dies(*text(PROSE[9:20])), dies())
    told = await broken(road, streamed=streamed)
    assert (told["code"], "connection lost" in told["message"]) == ("answer_interrupted", True)
    assert len(asked(road)) == 3


@BOTH
async def test_a_request_that_crashed_it_too_often_is_refused(streamed: bool, lives: Lives) -> None:
    """Whatever the client does about an answer that broke off, it should not do it now."""
    lives.error = CrashesModel("the model server has died 2 times while it worked on this request.")
    road = llama(dies(*text(PROSE[:9])), answers())
    call = await ask(road, streamed=streamed)
    told = failed(call)[1] if streamed else refused(call)[1]
    assert told["code"] == "crashes_model"
    assert call.status == (200 if streamed else 400)
    assert len(asked(road)) == 1


@BOTH
async def test_where_it_does_not_come_back_the_answer_has_broken_off(
    streamed: bool, lives: Lives
) -> None:
    lives.error = ModelLoading("it is still starting")
    assert (await broken(llama(dies(*text(PROSE[:9]))), streamed=streamed))[
        "code"
    ] == "answer_interrupted"


@BOTH
async def test_a_whole_call_that_was_sent_is_the_end(streamed: bool, lives: Lives) -> None:
    """It may be running already."""
    road = llama(dies(*letters(XML)), answers())
    answer = heard(await ask(road, streamed=streamed))
    assert (answer.made, answer.finish) == ([WRITTEN], "tool_calls")
    assert (lives.begun, len(asked(road))) == (1, 1)


@BOTH
async def test_half_a_call_of_its_own_is_asked_for_again_as_it_was(streamed: bool) -> None:
    half = native(0, '{"plant":"fe', id="c9", name="water")
    road = llama(dies(*text("So: "), half), answers())
    call = await ask(road, streamed=streamed)
    assert watered(call)
    assert [made.id for made in heard(call).calls] == ["c9"]
    first, second = asked(road)
    assert first == second


@BOTH
@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"grammar": 'root ::= "a"'},
        {"tools": TOOLS, "tool_choice": "required"},
    ],
)
async def test_what_a_grammar_must_form_begins_again(
    streamed: bool, fields: dict[str, Any]
) -> None:
    road = llama(dies(*text(PROSE[:9])), answers(PROSE))
    assert heard(await ask(road, streamed=streamed, **fields)) == Heard(PROSE, finish="stop")
    first, second = asked(road)
    assert first == second


@BOTH
async def test_where_the_template_does_not_take_it_a_repetition_is_skipped(streamed: bool) -> None:
    road = llama(dies(*text(PROSE[:9])), answers(PROSE), template=refuses("no prefill", 400))
    assert heard(await ask(road, streamed=streamed)) == Heard(PROSE, finish="stop")
    first, second = asked(road)
    assert first == second


@BOTH
async def test_other_words_are_no_end_of_it(streamed: bool) -> None:
    road = llama(dies(*text(PROSE[:9])), answers("Well, no."), template=refuses("no prefill", 400))
    assert "the new answer differs" in (await broken(road, streamed=streamed))["message"]


@BOTH
@pytest.mark.parametrize("at", [0, 9])
async def test_who_asks_raw_goes_on_raw(streamed: bool, at: int) -> None:
    road = llama(dies(*text(PROSE[:at])) if at else dies(), answers(PROSE[at:]), tool_parsing="raw")
    assert heard(await ask(road, streamed=streamed)) == Heard(PROSE, finish="stop")
    assert all(is_raw(question) for question in asked(road))


@BOTH
async def test_the_way_that_was_found_is_gone_again(streamed: bool) -> None:
    """Its own parser has given up over this answer before."""
    road = llama(refuses(JINJA), dies(), answers())
    assert watered(await ask(road, streamed=streamed))
    assert [is_raw(question) for question in asked(road)] == [False, True, True]


@BOTH
async def test_where_its_chat_route_loses_calls_a_prompt_goes_on(streamed: bool) -> None:
    road = losing(
        dies(*text("So: ")), completion=stream(event({"content": SAID[4:], "stop": True}))
    )
    assert watered(await ask(road, streamed=streamed))
    assert asked(road)[1]["prompt"].endswith("<|im_start|>assistant\nSo: ")


@BOTH
async def test_what_was_spent_counts(streamed: bool) -> None:
    """The limit is the client's for the whole answer, and so is what it is told at the end."""
    usage = event(
        {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 40, "total_tokens": 70}}
    )
    road = llama(
        dies(*text(PROSE[:9])), stream(ROLE, *text(PROSE[9:]), STOP, usage, event("[DONE]"))
    )
    road.script.on({TOKENIZE: httpx.Response(200, json={"tokens": [1, 2, 3]})})
    call = await ask(road, streamed=streamed, max_tokens=100)
    told = payloads(call.body)[-2]["usage"] if streamed else call.json["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (27, 43, 70)
    assert [question["max_tokens"] for question in asked(road)] == [100, 97]
    assert road.script.questions(TOKENIZE) == [
        {"content": PROSE[:9], "add_special": False, "model": "m"}
    ]


@BOTH
@pytest.mark.parametrize(
    "told",
    [refuses("what?", 404), httpx.Response(200, json={"tokens": 3}), httpx.Response(200, json=[])],
)
async def test_without_usage_nothing_is_counted(streamed: bool, told: httpx.Response) -> None:
    road = llama(dies(*text(PROSE[:9])), answers(PROSE[9:]))
    road.script.on({TOKENIZE: told})
    assert heard(await ask(road, streamed=streamed, max_tokens=100)).content == PROSE
    assert [question["max_tokens"] for question in asked(road)] == [100, 100]


async def test_a_client_that_leaves_meanwhile_is_forgotten(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_place: FixedProvider) -> bool:
        lives.begun += 1
        return await asyncio.Event().wait()

    monkeypatch.setattr(lives, "next", never)
    road = llama(dies(*text(PROSE[:9])), answers(PROSE[9:]))
    call = road.begin(tools=TOOLS)
    await call.until(lambda _: lives.begun == 2)
    call.hang_up()
    await call.done()
    assert len(asked(road)) == 1


@BOTH
async def test_an_answer_that_fails_after_a_restart_is_recovered_again(
    streamed: bool,
) -> None:
    road = llama(dies(), gives_up(), answers())
    assert watered(await ask(road, streamed=streamed))
    assert [is_raw(question) for question in asked(road)] == [False, False, True]


@BOTH
@pytest.mark.parametrize("end", [[], [DIES]], ids=["end", "reset"])
async def test_a_remote_server_is_not_restarted(
    streamed: bool, end: list[Piece], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    road = llama(stream(ROLE, *text(PROSE[:9]), *end))
    assert (await broken(road, streamed=streamed))["code"] == "answer_interrupted"
    assert len(asked(road)) == 1
