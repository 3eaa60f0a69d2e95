"""An answer that is at hand is not asked for again: in the log of our own child, in the errors
of older builds.
"""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.asgi import Call
from tests.backend import Piece, Script, chunk, script_of, stream, text
from tests.completion.recovery import (
    SAID,
    TEMPLATE,
    answers,
    ask,
    asked,
    failure_of,
    gives_up,
    is_raw,
    llama,
    refuses,
    watered,
)
from tests.logged import Logged, block, logged
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, CHAT, Heard, heard, native
from tests.web.test_chat_calls import JSON, XML, letters

THOUGHT = "The user wants water."


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Every named server is one whose log we see."""
    place = logged()
    monkeypatch.setattr("proxy.app.FixedProvider", lambda _: place)
    return place


def logs(place: Logged, *answers: str, said: tuple[Piece, ...] = ()) -> object:
    """Gives up when it has said this, and writes that down."""

    def answer(_: httpx.Request) -> httpx.Response:
        for one in answers:
            place.write("0.1 I slot launch", *block(one))
        return gives_up(*said)

    return answer


# the log


@BOTH
@pytest.mark.parametrize("kind", ["event", "event after the role", "500"])
async def test_one_block_is_the_answer(
    streamed: bool, kind: str, child: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    log = block(SAID)

    def answer(_: httpx.Request) -> httpx.Response:
        child.write(*log)
        return failure_of(kind)

    road = llama(answer)
    assert watered(await ask(road, streamed=streamed))
    assert len(asked(road)) == 1
    assert (
        caplog.records[0]
        .getMessage()
        .endswith("| calls: 1 recovered | recovered: from log or error")
    )
    # The block of the question before is not the one of this.
    assert watered(await ask(road, streamed=streamed))
    assert len(asked(road)) == 2


@BOTH
@pytest.mark.parametrize(
    "found",
    [
        [SAID, SAID],
        [],
        ["So: " + JSON[:-30]],
        [SAID + JSON[:-30]],
        ["So: " + XML.partition("\n</function>")[0]],
        ["So, done."],
        ["I look. " + JSON],
    ],
    ids=[
        "two",
        "none",
        "half a call",
        "half of its second call",
        "a call without its closer",
        "no call",
        "in other words",
    ],
)
async def test_what_may_not_be_the_answer_or_not_all_of_it_is_asked_for(
    streamed: bool, found: list[str], child: Logged
) -> None:
    road = llama(logs(child, *found, said=tuple(text("So"))), answers(SAID[2:]))
    assert watered(await ask(road, streamed=streamed))
    _, second = asked(road)
    assert is_raw(second)


@BOTH
async def test_it_may_begin_with_the_sent_text_and_leave_out_the_reasoning(
    streamed: bool, child: Logged
) -> None:
    road = llama(logs(child, SAID, said=tuple(text("So"))))
    assert watered(await ask(road, streamed=streamed))
    thoughts = tuple(letters(THOUGHT + "\n", key="reasoning_content"))
    for found in (
        SAID,
        f"<think>\n{THOUGHT}\n</think>\n\n{SAID}",
        f"{THOUGHT}\n</think>\n\n{SAID}",
    ):
        road = llama(logs(child, found, said=thoughts))
        assert watered(await ask(road, streamed=streamed), thoughts=THOUGHT)
        assert len(asked(road)) == 1


@BOTH
async def test_half_a_call_of_the_backend_s_may_be_missing_in_it(
    streamed: bool, child: Logged
) -> None:
    half = native(0, '{"plant":"fe', id="c9", name="water")
    road = llama(logs(child, JSON, said=(half,)), answers())
    assert watered(await ask(road, streamed=streamed))
    assert len(asked(road)) == 2


@BOTH
async def test_softer_schemas_have_a_log_of_their_own(streamed: bool, child: Logged) -> None:
    def schema(_: httpx.Request) -> httpx.Response:
        child.write(*block("what another one was told " + JSON))
        return refuses("JSON schema error at #/x")

    tools = [
        {
            "type": "function",
            "function": {"name": "water", "parameters": {"properties": {"plant": {"$ref": "#/x"}}}},
        }
    ]
    road = llama(schema, logs(child, SAID))
    assert watered(await ask(road, streamed=streamed, tools=tools))
    assert len(asked(road)) == 2


async def test_with_two_questions_under_way_the_log_does_not_say_whose_it_is(child: Logged) -> None:
    failing, came, other = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def first(_: httpx.Request) -> httpx.Response:
        await failing.wait()
        child.write(*block("what the other one was told " + JSON))
        return gives_up()

    def second(_: httpx.Request) -> httpx.Response:
        came.set()
        return stream(other, *text("b"), chunk(finish="stop"))

    road = llama(first, second, answers())
    asking, waiting = road.begin(tools=TOOLS), road.begin(tools=TOOLS)
    await came.wait()
    failing.set()
    assert watered(await asking.done())
    other.set()
    assert heard(await waiting.done()).content == "b"
    assert len(asked(road)) == 3
    road.script.on({CHAT: logs(child, SAID)})  # and now it is alone again
    assert watered(await road.begin(tools=TOOLS).done())
    assert len(asked(road)) == 4


# the errors of older builds


@BOTH
@pytest.mark.parametrize(("said", "at"), [("", 0), ("So", 0), ("So", 2)])
async def test_an_older_build_quotes_the_output_in_its_error(
    streamed: bool, said: str, at: int
) -> None:
    road = llama(
        gives_up(*letters(said), message=f"Failed to parse input at pos {at}: {SAID[at:]}")
    )
    assert watered(await ask(road, streamed=streamed))
    assert len(asked(road)) == 1


@BOTH
async def test_a_position_inside_a_call_cannot_be_continued(streamed: bool) -> None:
    road = llama(
        gives_up(*text("So"), message=f"Failed to parse input at pos 4: {JSON}"), answers(SAID[2:])
    )
    assert watered(await ask(road, streamed=streamed))
    assert len(asked(road)) == 2


@BOTH
async def test_prose_may_have_been_cut_so_its_end_is_asked_for(streamed: bool) -> None:
    road = llama(
        gives_up(*text("So "), message="Failed to parse input at pos 3: it go"),
        stream(*text("it goes"), chunk(finish="length")),
    )
    assert heard(await ask(road, streamed=streamed)) == Heard("So it goes", finish="length")


# a client that hangs up


@BOTH
@pytest.mark.parametrize("where", [TEMPLATE, CHAT])
async def test_leaving_while_it_is_asked_again_cancels_that(streamed: bool, where: str) -> None:
    asking, given_up = asyncio.Event(), asyncio.Event()

    async def silent(_: httpx.Request) -> httpx.Response:
        asking.set()
        try:
            return await asyncio.Future[httpx.Response]()
        finally:
            given_up.set()

    first = gives_up(*text("So"))
    road = (
        llama(first, silent, template=silent)
        if where == TEMPLATE
        else llama(first, silent, template=refuses())
    )
    call = road.begin(streamed=streamed, tools=TOOLS)
    await asking.wait()
    await _left(call)
    assert given_up.is_set()
    assert script_of(first).closed


@BOTH
async def test_leaving_while_the_other_answer_comes_closes_it(streamed: bool) -> None:
    reached = asyncio.Event()

    def spoken() -> Iterator[Piece]:
        yield from text(" it is")
        reached.set()
        yield asyncio.Event()

    second = httpx.Response(200, stream=Script(spoken()))
    road = llama(gives_up(*text("So")), second)
    call = road.begin(streamed=streamed, tools=TOOLS)
    await reached.wait()
    await _left(call)
    assert script_of(second).closed


async def test_leaving_while_the_log_is_waited_for(child: Logged) -> None:
    road = llama(gives_up(), answers())
    call = road.begin(tools=TOOLS)
    await call.until(lambda call: bool(call.messages))
    await asyncio.sleep(0.02)
    await _left(call)
    assert len(asked(road)) == 1


async def _left(call: Call) -> None:
    call.hang_up()
    await call.done()
    assert not call.complete
