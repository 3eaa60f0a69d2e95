"""A prompt that is too long for the context is refused with the numbers, at once, even while the
server is busy with others.
"""

import functools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy import app
from proxy.app import Bridge
from proxy.web.chat import Chat, StreamStartTimeouts
from tests.asgi import Call, ask, without_id
from tests.engine.bridges import before, opened, place
from tests.engine.conversation import PLAIN, Answer, endless, question, streamed, whole
from tests.engine.slots import busy, idle
from tests.patience import PROMPT

LONG = question("word " * 40_000)


@pytest.fixture
async def impatient(single: Bridge, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bridge]:
    """Before the server that takes one question at a time; after a third of a second it asks for
    the count.
    """
    monkeypatch.setattr(
        app, "Chat", functools.partial(Chat, timeouts=StreamStartTimeouts(before_counting=0.3))
    )
    async with opened(before(await place(single))) as bridge:
        yield bridge


@asynccontextmanager
async def occupied(bridge: Bridge) -> AsyncIterator[Call]:
    """Its one slot is taken, until the client that took it leaves."""
    other = Call(bridge, body=endless(stream=True))
    await other.until(lambda call: len(call.messages) > 5)
    assert await busy(bridge) == 1
    yield other
    other.hang_up()
    await other.done()
    await idle(bridge)


def assert_refused(refused: Call) -> None:
    assert refused.status == 400
    error = without_id(refused.json)["error"]
    prompt, context = error["n_prompt_tokens"], error["n_ctx"]
    assert prompt > context == 32768
    assert error == {
        "message": (
            f"request ({prompt} tokens) exceeds the available context size ({context} tokens), "
            f"try increasing it"
        ),
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
        "n_prompt_tokens": prompt,
        "n_ctx": context,
    }


@pytest.mark.parametrize("stream", [True, False])
async def test_refused_with_the_numbers(leaking: Bridge, stream: bool) -> None:
    assert_refused(await ask(leaking, body=LONG | {"stream": stream}))


@pytest.mark.parametrize("stream", [True, False])
async def test_refused_by_the_count_while_the_server_is_busy(
    impatient: Bridge, stream: bool
) -> None:
    async with occupied(impatient) as other:
        began = time.monotonic()
        refused = await ask(impatient, body=LONG | {"stream": stream})
        assert time.monotonic() - began < PROMPT
        assert_refused(refused)
        assert not other.task.done()
        assert await busy(impatient) == 1


async def test_a_request_that_fits_waits_with_keepalives(impatient: Bridge) -> None:
    async with occupied(impatient) as other:
        waiting = Call(impatient, body=question("Hello", tools=None, stream=True))
        unstreamed = Call(impatient, body=question("Hello", tools=None))
        await waiting.until(lambda call: call.body == b": ping\n\n")
        assert waiting.status == 200
        assert not unstreamed.messages
        assert not other.task.done()
        other.hang_up()
        assert streamed(await waiting.done()) == whole(await unstreamed.done()) == Answer(PLAIN)
