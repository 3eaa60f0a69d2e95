"""A server at home, over real sockets: what is not asked for is not taken in, and what is comes
at once.
"""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import httpcore
import httpx
import pytest

from proxy.backends import transport as network
from proxy.backends.http import HttpClient, default_transport
from proxy.errors import AnswerInterrupted, BackendTimeout, BridgeError, Overloaded, Unavailable
from tests.patience import HANGS

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Serve: TypeAlias = Callable[[Reader, Writer], Awaitable[None]]
LONG = 4_000_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[tuple[HttpClient, str]]:
    async def closing(reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    http = HttpClient(default_transport(url, public=False))
    try:
        yield http, url
    finally:
        await http.aclose()
        server.close()


def get(url: str, **timeouts: float) -> httpx.Request:
    extensions = {"timeout": {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": None} | timeouts}
    return httpx.Request("GET", url + "/x", extensions=extensions)


async def test_no_more_is_read_than_is_consumed() -> None:
    sent = 0

    async def pour(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % (100 * LONG))
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with serving(pour) as (http, url):
        response = await http.send(get(url))
        pieces = http.stream(response)
        assert 0 < len(await anext(pieces)) <= network.READ_SIZE
        before = -1
        async with asyncio.timeout(HANGS):
            while before != sent:
                before = sent
                await asyncio.sleep(0.1)
        assert sent < 10 * LONG  # what the kernels hold
        await response.aclose()


async def test_others_have_their_turn_while_much_comes() -> None:
    """Else whoever has much to read at once would hold up everybody."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"x" * 20 * network.READ_SIZE)
        stream = network._SocketStream(ours)
        other = asyncio.create_task(others())
        for _ in range(20):
            await stream.read(65_536)
        other.cancel()
    assert turns >= 20


async def test_what_is_asked_for_comes_at_once() -> None:
    """A small buffer of the kernel's would bound the memory too, and let a local server through
    at 40 kB a second.
    """

    async def long(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % LONG + b"x" * LONG)
        await writer.drain()

    async with serving(long) as (http, url), asyncio.timeout(HANGS):
        body = await http.read(await http.send(get(url)), limit=2 * LONG)
    assert len(body) == LONG


async def test_a_kept_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def once(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % 2 + b"ok")
        await writer.drain()

    async def twice(reader: Reader, writer: Writer) -> None:
        for _ in range(2):
            await once(reader, writer)

    for serve in (once, twice):
        async with serving(serve) as (http, url):
            for _ in range(3):
                assert await http.read(await http.send(get(url))) == b"ok"
                await asyncio.sleep(0)
                await asyncio.sleep(0.01)  # the end of the connection is on its way


@pytest.mark.parametrize("times", [1, 2])
async def test_whatever_is_cancelled_at_whatever_moment_leaves_nothing_open(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[network._SocketStream] = []
    open_one = network._connect

    async def watched(*at: Any) -> network._SocketStream:
        opened.append(await open_one(*at))
        return opened[-1]

    async def always(reader: Reader, writer: Writer) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD % 2 + b"ok")

    async def ask(http: HttpClient, url: str) -> bytes:
        return await http.read(await http.send(get(url)))

    monkeypatch.setattr(network, "_connect", watched)
    async with serving(always) as (http, url):
        for moment in range(60):
            for _ in range(2):  # over a new connection, then over one that was kept
                asking = asyncio.create_task(ask(http, url))
                for _ in range(moment):
                    await asyncio.sleep(0)
                for _ in range(times):
                    asking.cancel()
                    await asyncio.sleep(0)
                await asyncio.wait((asking,))
                assert await ask(http, url) == b"ok"
                assert len([stream for stream in opened if stream._socket.fileno() >= 0]) == 1
            await http.aclose()


async def test_few_connections_are_kept_and_each_for_its_own_server() -> None:
    peers: list[int] = []
    together = asyncio.Barrier(3)

    async def always(reader: Reader, writer: Writer) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            peers.append(writer.get_extra_info("peername")[1])
            if b"together" in head:
                await together.wait()
            writer.write(HEAD % 2 + b"ok")

    async with serving(always) as (_, url), serving(always) as (_, other):
        http = HttpClient(
            network.Transport(httpx.Limits(max_keepalive_connections=2, keepalive_expiry=60.0))
        )

        async def ask(url: str) -> None:
            response = await http.send(get(url))
            assert await http.read(response) == b"ok"
            await response.aclose()  # once more: by then it may be somebody else's

        await asyncio.gather(*(ask(url + "/together") for _ in range(3)))
        for _ in range(2):
            await asyncio.gather(ask(url), ask(url))
        assert (len(peers), len(set(peers))) == (7, 3)
        await ask(other)
        await ask(url)
        assert (len(peers), len(set(peers))) == (9, 4)
        await http.aclose()
        await ask(url)
        await http.aclose()
        assert len(set(peers)) == 5


async def test_a_server_that_does_not_listen() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(Unavailable):
            await HttpClient(default_transport(url, public=False)).send(get(url))


async def test_of_two_addresses_the_second_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ok(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % 2 + b"ok")

    async with serving(ok) as (http, url):
        port = httpx.URL(url).port
        answers = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))
            for host in ("127.0.0.9", "127.0.0.1")
        ]
        connected = network._connect

        async def resolved(*_: Any, **__: Any) -> Any:
            return answers

        async def hangs(*at: Any) -> Any:
            return await (asyncio.sleep(60) if at[-1][0] == "127.0.0.9" else connected(*at))

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        # The first refuses.
        assert await http.read(await http.send(get(f"http://server.lan:{port}"))) == b"ok"
        monkeypatch.setattr(network, "_connect", hangs)
        assert (
            await http.read(await http.send(get(f"http://again.lan:{port}", connect=0.2))) == b"ok"
        )
        answers.reverse()
        del answers[0]
        with pytest.raises(Unavailable):
            await http.send(get(f"http://third.lan:{port}", connect=0.05))


@pytest.mark.parametrize(
    ("what", "error"), [("reset", AnswerInterrupted), ("silence", BackendTimeout)]
)
async def test_a_server_that_breaks_off(what: str, error: type[BridgeError]) -> None:
    over = asyncio.Event()

    async def broken(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % 9 + b"half")
        await writer.drain()
        if what == "reset":
            writer.transport.abort()
        await over.wait()

    async with serving(broken) as (http, url):
        with pytest.raises(error):
            await http.read(await http.send(get(url, read=0.2)))
        over.set()


async def test_a_server_that_does_not_take_the_question() -> None:
    over = asyncio.Event()

    async def deaf(_: Reader, writer: Writer) -> None:
        await over.wait()
        writer.transport.abort()

    async with serving(deaf) as (http, url):
        request = httpx.Request(
            "POST", url, content=b"x" * 50_000_000, extensions=get(url, write=0.2).extensions
        )
        with pytest.raises(BackendTimeout, match="did not accept the request within 0 seconds"):
            await http.send(request)
        over.set()


async def test_what_else_may_be_asked_of_a_connection() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        stream = network._SocketStream(ours)
        assert [stream.get_extra_info(info) for info in ("is_readable", "ssl_object")] == [
            False,
            None,
        ]
        theirs.send(b"x")
        assert stream.get_extra_info("is_readable") is True
        theirs.close()
        ours.setblocking(False)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x")
        await stream.aclose()


async def test_who_speaks_tls_is_read_as_ever() -> None:
    for url, public in (
        ("https://10.0.0.5", False),
        ("https://example.com", True),
        ("http://example.com", True),
    ):
        transport = default_transport(url, public=public)
        assert not isinstance(transport, network.Transport)
        await transport.aclose()


async def test_a_connection_that_is_silent_is_probed() -> None:
    """A cut link shows after a minute and a half instead of after ten."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = await network._connect(
            socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname()
        )
        assert connected._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connected._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await connected.aclose()


async def test_our_own_lack_of_descriptors_is_not_blamed_on_the_backend() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(lambda *_: asyncio.sleep(0)) as (http, url):
        free = os.dup(0)  # the lowest number that is free
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises(Overloaded, match="no file descriptor left"):
                await http.send(get(url))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_another_reason_for_which_no_socket_can_be_made() -> None:
    with pytest.raises(OSError, match=r"[Nn]o such|not supported|[Ii]nvalid"):
        await network._connect(socket.AF_INET, 77, 0, "", ("127.0.0.1", 1))
