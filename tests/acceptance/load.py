"""Many clients that want to do harm, against the running server: its memory stays bounded, its
event loop is never held up for long, and others are served meanwhile.

`make test-load`, about a minute. The figures are printed.
"""

import asyncio
import contextlib
import json
import re
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.acceptance.processes import bare_environment, running
from tests.acceptance.stalls import Stalls

ROOT = Path(__file__).parents[2]
MANY = 1_000
MOST = 150  # MB resident
CHAT = "/v1/chat/completions"
HOST = b"Host: 127.0.0.1\r\n"
CHUNK = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


async def backend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What it does is asked for in the question: a word, or something without an end."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        wanted = (await reader.readexactly(int(length[1]))).decode() if length else ""
        if head.startswith(b"GET"):
            body = b'{"data": [{"id": "m"}]}'
            writer.write(
                b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )
        elif "endless words" in wanted:
            writer.write(HEAD)
            while True:
                writer.write(CHUNK % (b"word " * 200))
                await writer.drain()
        elif "endless line" in wanted:
            writer.write(HEAD + CHUNK % b"a" + b"data: ")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        elif "endless event" in wanted:
            writer.write(HEAD + CHUNK % b"a")
            while True:
                writer.write(b"data: x\n" * 8_192)
                await writer.drain()
        elif "endless json" in wanted:
            writer.write(HEAD + b'{"choices": "')
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        else:
            writer.write(HEAD + CHUNK % b"hello" + END)
        await writer.drain()
    writer.close()


class Proxy:
    def __init__(self, port: int, process: psutil.Process, stalls: Stalls) -> None:
        self.port, self.process, self.peak, self.stalls = port, process, 0.0, stalls

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, self.process.memory_info().rss / 1e6)
            await asyncio.sleep(0.05)

    async def send(
        self, data: bytes, limit: int = 4_096
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        writer.write(data)
        return reader, writer

    async def others_are_served(self, seconds: float = 10.0) -> None:
        began = time.monotonic()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", timeout=seconds
        ) as client:
            answer = await client.post(
                CHAT, json={"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            )
            assert answer.json()["choices"][0]["message"]["content"] == "hello"
            assert (await client.get("/health")).status_code == 200
        print(f"another client: {time.monotonic() - began:.2f} s")

    def bounded(self, what: str) -> None:
        print(f"{what}: at most {self.peak:.0f} MB resident")
        assert self.peak < MOST, f"{what}: {self.peak:.0f} MB"
        self.stalls.bounded(what)


def question(content: str, *, stream: bool = True) -> bytes:
    body = json.dumps(
        {"model": "m", "stream": stream, "messages": [{"role": "user", "content": content}]}
    ).encode()
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
        CHAT.encode(),
        HOST,
        len(body),
        body,
    )


@contextlib.asynccontextmanager
async def proxied(folder: Path, kind: str = "generic") -> AsyncIterator[Proxy]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE,
        (min(hard, 10_240) if hard != resource.RLIM_INFINITY else 10_240, hard),
    )
    server = await asyncio.start_server(backend, "127.0.0.1", 0, backlog=2048)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    stalls = Stalls(folder)
    environment = (
        bare_environment(folder)
        | {"BACKEND_URL": url, "BACKEND_KIND": kind, "PROXY_PORT": "0"}
        | stalls.environment
    )
    with running("llama-bridge", stalls.command, folder / "output", ROOT, environment) as program:

        def port() -> int | None:
            found = re.search(r"listens on http://127.0.0.1:(\d+)/v1\n", program.output())
            return int(found[1]) if found else None

        found = await asyncio.to_thread(program.wait_for, port, "banner", 30)
        proxy = Proxy(found, psutil.Process(program.process.pid), stalls)
        watching = asyncio.create_task(proxy.watch())
        try:
            await proxy.others_are_served()
            yield proxy
            await proxy.others_are_served()
        finally:
            watching.cancel()
            server.close()
        assert "Traceback" not in program.output(), program.evidence()


async def status_of(reader: asyncio.StreamReader) -> int:
    async with asyncio.timeout(60):
        return int((await reader.readline()).split()[1])


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
async def test_ten_gibibytes_announced(path: str, tmp_path: Path) -> None:
    head = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (path.encode(), HOST, 10 * 1024**3)
    async with proxied(tmp_path) as proxy:
        clients = [await proxy.send(head + b"x" * 100_000) for _ in range(50)]
        assert [await status_of(reader) for reader, _ in clients] == [413] * 50
        await proxy.others_are_served()
        for _, writer in clients:
            writer.close()
        proxy.bounded(f"10 GiB announced 50 times to {path}")


async def test_bodies_without_a_length(tmp_path: Path) -> None:
    head = b"POST %b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (CHAT.encode(), HOST)
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"

    async def flood(proxy: Proxy) -> int:
        reader, writer = await proxy.send(head)
        try:
            for _ in range(70):
                writer.write(piece)
                await writer.drain()
                # To look without waiting there is no other way.
                if reader._buffer:  # type: ignore[attr-defined]
                    break
            return await status_of(reader)
        except ConnectionError:
            return 0  # cut, because it went on sending
        finally:
            writer.close()

    async with proxied(tmp_path) as proxy:
        found = await asyncio.gather(*(flood(proxy) for _ in range(4)))
        assert set(found) <= {413, 503, 0}
        assert set(found) & {413, 503}
        proxy.bounded("4 x 70 MiB without a length")


@pytest.mark.parametrize("what", ["endless line", "endless event", "endless json"])
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_backend_without_an_end(what: str, streamed: bool, tmp_path: Path) -> None:
    async with proxied(tmp_path) as proxy:
        clients = [
            await proxy.send(question(what, stream=streamed), limit=1 << 20) for _ in range(3)
        ]
        for reader, writer in clients:
            async with asyncio.timeout(60):
                if streamed and what != "endless json":
                    assert b'"code":"answer_interrupted"' in await reader.readuntil(
                        b'answer_interrupted"'
                    )
                else:
                    assert await status_of(reader) == 502
            writer.close()
        proxy.bounded(f"3 x {what}, {'streamed' if streamed else 'whole'}")


# Of llama.cpp's answers more is remembered.
@pytest.mark.parametrize("kind", ["generic", "llama_cpp"])
async def test_a_thousand_clients_that_do_not_read(kind: str, tmp_path: Path) -> None:
    async with proxied(tmp_path, kind) as proxy:
        clients = [await proxy.send(question("endless words")) for _ in range(MANY)]
        # While a thousand answers pour in as fast as two cores can make them.
        await proxy.others_are_served(60.0)
        for _ in range(2):
            await asyncio.sleep(2)  # what is measured is what gathers meanwhile
            await proxy.others_are_served(5.0)
        for _, writer in clients:
            writer.transport.abort()
        proxy.bounded(f"{MANY} clients that do not read, before {kind}")


async def test_a_thousand_half_requests(tmp_path: Path) -> None:
    halves = [
        b"POST %b HTTP/1.1\r\n%bX-Half: " % (CHAT.encode(), HOST) + b"x" * 8_000,
        b"POST %b HTTP/1.1\r\n%bContent-Length: 60000000\r\n\r\n" % (CHAT.encode(), HOST)
        + b" " * 8_000,
        b"",
    ]
    async with proxied(tmp_path) as proxy:
        clients = [await proxy.send(halves[number % 3]) for number in range(MANY)]
        await proxy.others_are_served()
        proxy.bounded(f"{MANY} half requests")
        async with asyncio.timeout(60):
            ends = [await reader.read() for reader, _ in clients]
        assert {end.partition(b"\r\n")[0] for end in ends} == {b"HTTP/1.1 408 Request Timeout", b""}
        for _, writer in clients:
            writer.close()
