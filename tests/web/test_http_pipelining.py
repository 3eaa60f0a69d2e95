"""Requests and other data that arrive while an earlier request is being answered."""

import asyncio
import re

import pytest

from proxy.web import http_protocol
from tests.backend import END, Backend, Script, script_of, stream, text
from tests.bridge import bridge
from tests.patience import HANGS
from tests.web.raw_http import BODY, CHAT, CHUNKED, HOST, LENGTH, Raw, get, post, served

STREAMED = BODY[:-1] + b', "stream": true}'
ASK = post(STREAMED, b"Content-Length: %d" % len(STREAMED))


class Waits:
    """Backend that starts an answer, and continues it when `goes_on` is set."""

    def __init__(self, script: Backend) -> None:
        self.goes_on = asyncio.Event()
        self.answer = stream(*text("begun"), self.goes_on, *text(" and done"), *END)
        script.on({CHAT: self.answer})

    @property
    def backend(self) -> Script:
        return script_of(self.answer)


async def begun(client: Raw) -> None:
    async with asyncio.timeout(HANGS):
        await client._reader.readuntil(b"begun")


async def ends(waits: Waits) -> None:
    async with asyncio.timeout(HANGS):
        while not waits.backend.closed:  # noqa: ASYNC110 - a script has no event for it
            await asyncio.sleep(0.01)


def answers(said: bytes) -> list[tuple[int, bytes]]:
    """Return status and body of each response; each must have a content-length."""
    found: list[tuple[int, bytes]] = []
    while said:
        head, _, said = said.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length
        body, said = said[: int(length[1])], said[int(length[1]) :]
        found.append((int(head.split()[1]), body))
    return found


BEHIND = {
    "nonsense": b"zz\r\n\r\n",
    "no path": b"GET http://other/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "too many": get() * 20,
    "a long head": get("/props", b"X-A: " + b"a" * http_protocol.HEAD_LIMIT),
    "a head without end": b"GET /props HTTP/1.1\r\nX-A: " + b"a" * http_protocol.HEAD_LIMIT,
    "a large body": post(b"x" * 100_000, b"Content-Length: 100000"),
    "a broken body": post(b"zz\r\n", CHUNKED),
}


@pytest.mark.parametrize("name", BEHIND)
async def test_a_refusal_behind_an_answer_is_sent_behind_it(name: str, script: Backend) -> None:
    """The running answer is neither corrupted nor cut short."""
    waits = Waits(script)
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(ASK)
        await begun(client)
        await client.send(BEHIND[name])
        await asyncio.sleep(0.05)
        await client.send(b"more that is read by nobody")
        await asyncio.sleep(0.05)
        waits.goes_on.set()
        rest = await client.rest()
        first, _, behind = rest.partition(b"0\r\n\r\n")
        assert b"and done" in first
        assert b"[DONE]" in first
        assert b"HTTP/1.1" not in first
        *others, last = answers(behind)
        assert others == [(200, b"p")] * (8 if name == "too many" else 0)
        assert last[0] == (431 if "head" in name else 400)


async def test_half_a_head_behind_an_answer_does_not_cut_it(
    script: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.05)
    waits = Waits(script)
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(ASK + get()[:-2])
        await begun(client)
        await asyncio.sleep(0.1)
        waits.goes_on.set()
        first, _, behind = (await client.rest()).partition(b"0\r\n\r\n")
        assert b"and done" in first
        assert [status for status, _ in answers(behind)] == [408]


async def test_a_broken_body_cuts_the_answer_to_its_own_request(script: Backend) -> None:
    """The response has started, so no second one can be sent; the connection is closed."""
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(get("/", b"Accept: text/event-stream", CHUNKED) + b"5\r\n12345\r\n")
        async with asyncio.timeout(HANGS):
            assert (await client._reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await client.send(b"zz\r\n")
        assert b"HTTP/1.1" not in await client.rest()


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        get(),
        get() * 3,
        get()[:-2],
        b"zz\r\n\r\n",
        ASK,
        post(b"x" * 60_000, b"Content-Length: 60001"),
    ],
)
async def test_a_client_that_leaves_ends_the_running_answer_whatever_waits_behind_it(
    behind: bytes, script: Backend
) -> None:
    waits = Waits(script)
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(ASK)
        await begun(client)
        await client.send(behind)
        await asyncio.sleep(0.05)
        client.close()
        await ends(waits)
    assert len([request for request in script.asked if request.url.path == "/props"]) == 0


async def test_the_answers_come_in_the_order_of_the_requests(script: Backend) -> None:
    waits = Waits(script)
    async with served(bridge(script)) as connect:
        client = await connect()
        await client.send(ASK + get() + post(BODY, LENGTH, b"Connection: close"))
        await begun(client)
        script.on({CHAT: lambda _: stream(*text("last"), *END)})
        waits.goes_on.set()
        first, _, behind = (await client.rest()).partition(b"0\r\n\r\n")
        assert b"and done" in first
        (middle, last) = answers(behind)
        assert middle == (200, b"p")
        assert last[0] == 200
        assert b'"last"' in last[1]


REFUSED = (b"Authorization: Bearer wrong",)
IDLE = {
    "nothing": (b"", b""),
    "a blank line": (b"\r\n", b""),
    "blank lines": (b"\r\n\r\n\r\n", b""),
    "an answer": (get(), b""),
    "an answer and a blank line": (get(), b"\r\n"),
    "an answer and blank lines": (get(), b"\r\n" * 100),
    "a refusal": (get("/props", *REFUSED), b""),
    "a refusal and a blank line": (get("/props", *REFUSED), b"\r\n"),
    "a refusal and its body": (post(BODY[:5], LENGTH, *REFUSED), BODY[5:]),
    "a refusal and its body and a blank line": (
        post(BODY[:5], LENGTH, *REFUSED),
        BODY[5:] + b"\r\n",
    ),
    "a refusal and half its body": (post(BODY[:5], LENGTH, *REFUSED), BODY[5:9]),
    "a refusal and its chunks": (post(b"5\r\n{", CHUNKED, *REFUSED), b'"a":\r\n0\r\n\r\n'),
    "a refusal and half its trailers": (post(b"5\r\n{", CHUNKED, *REFUSED), b'"a":\r\n0\r\nX-A: a'),
    "a refusal and half a head": (get("/props", *REFUSED), b"GET /"),
    "a refusal and half a head at once": (get("/props", *REFUSED) + b"GET /", b""),
    "an answer to a path and a half body": (post(b"x", b"Content-Length: 2", path="/health"), b""),
}


@pytest.mark.parametrize("name", IDLE)
async def test_every_state_of_a_connection_ends_in_time(
    name: str, script: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client without a key cannot keep a connection open, whatever it sends."""
    assert (
        http_protocol.HEAD_TIMEOUT,
        http_protocol.IDLE_TIMEOUT,
        http_protocol.UNREAD_TIMEOUT,
    ) == (20.0, 5, 5.0)
    for seconds in ("HEAD_TIMEOUT", "IDLE_TIMEOUT", "UNREAD_TIMEOUT"):
        monkeypatch.setattr(http_protocol, seconds, 0.2)
    first, then = IDLE[name]
    async with served(bridge(script, proxy_api_keys="right")) as connect:
        client = await connect()
        await client.send(first)
        if first.strip():
            await client._reader.readuntil(b"\r\n\r\n")
        await client.send(then)
        await client.rest()  # fails if the server does not close the connection


async def test_a_connection_that_was_idle_may_be_used_again(
    script: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "IDLE_TIMEOUT", 0.3)
    async with served(bridge(script)) as connect:
        client = await connect()
        for _ in range(4):
            await client.send(b"\r\n" + get())
            assert (await client.answer())[2] == b"p"
            await asyncio.sleep(0.15)
        assert await client.rest() == b""
