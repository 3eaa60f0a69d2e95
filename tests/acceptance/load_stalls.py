"""Small and large inputs that take long to read, against the running server: none of them holds up
the other clients.

Part of `make test-load`. What is printed is the longest step of the event loop.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import bare_environment, running
from tests.acceptance.stalls import Stalls

ROOT = Path(__file__).parents[2]
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MIB = 2**20
DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Backend:
    """Answers every question with the same bytes, and names as many models as it should."""

    def __init__(self, answer: bytes, models: int) -> None:
        self.answer = answer
        self.models = json.dumps(
            {"data": [{"id": f"m{number}"} for number in range(models)]}
        ).encode()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if length := re.search(rb"content-length: (\d+)", head, re.IGNORECASE):
                await reader.readexactly(int(length[1]))
            elif b"chunked" in head.lower():
                await reader.readuntil(b"\r\n0\r\n\r\n")
            if head.startswith(b"GET"):
                writer.write(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
                    % len(self.models)
                    + self.models
                )
            else:
                writer.write(self.answer)
            await writer.drain()
        writer.close()


class Proxy:
    def __init__(self, port: int, backend: Backend, stalls: Stalls) -> None:
        self.port, self.backend, self.stalls = port, backend, stalls

    async def ask(self, body: bytes, path: str = CHAT) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        async with asyncio.timeout(120):
            answer = await reader.read()
        writer.close()
        return answer


def said(*chunks: dict[str, Any], finish: str = "stop") -> bytes:
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in chunks]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return HEAD + b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + DONE


def question(**fields: Any) -> bytes:
    return json.dumps(
        {
            "model": "m0",
            "stream": True,
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [tool()],
        }
        | fields
    ).encode()


def tool(name: str = "bash", **parameters: Any) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": name,
            "parameters": parameters or {"properties": {"command": {"type": "string"}}},
        },
    }


def leaked(parameter: str, value: str) -> dict[str, Any]:
    return {
        "content": (
            f"<tool_call>\n<function=bash>\n<parameter={parameter}>\n{value}\n</parameter>\n"
            f"</function>\n</tool_call>\n"
        )
    }


def native(number: int) -> dict[str, Any]:
    return {
        "index": number,
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "bash", "arguments": '{"command":"ls"}'},
    }


@contextlib.asynccontextmanager
async def proxied(folder: Path, answer: bytes = b"", models: int = 1) -> AsyncIterator[Proxy]:
    backend, stalls = Backend(said({"content": "warm"}), models), Stalls(folder)
    server = await asyncio.start_server(backend, "127.0.0.1", 0, limit=2**26)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    environment = (
        bare_environment(folder)
        | {"BACKEND_URL": url, "BACKEND_KIND": "generic", "PROXY_PORT": "0"}
        | stalls.environment
    )
    with running("llama-bridge", stalls.command, folder / "output", ROOT, environment) as program:

        def port() -> int | None:
            found = re.search(r"listens on http://127.0.0.1:(\d+)/v1\n", program.output())
            return int(found[1]) if found else None

        proxy = Proxy(
            await asyncio.to_thread(program.wait_for, port, "banner", 30), backend, stalls
        )
        await proxy.ask(question())
        backend.answer = answer or said({"content": "hello"})
        stalls.begin()
        try:
            yield proxy
        finally:
            server.close()
        assert "Traceback" not in program.output(), program.evidence()


SELF = {"$ref": "#"}
TYPES = {"a": {"type": "integer"}, "l": {"type": "array"}}
QUESTIONS = {
    "a schema that refers to itself": question(
        tools=[tool(**SELF, anyOf=[SELF] * 20, allOf=[SELF] * 20, properties={"a": SELF})]
    ),
    "a tool with 10,000 properties": question(
        tools=[tool(properties={f"p{at}": {"type": "string"} for at in range(10_000)})]
    ),
    "2,000 tools": question(
        tools=[
            tool(f"f{at}", properties={f"p{at}": {"type": "string"} for at in range(10)})
            for at in range(2_000)
        ]
    ),
    "100,000 tools": question(tools=[tool(f"f{at}") for at in range(100_000)]),
    "100,000 messages": question(messages=[{"role": "user", "content": "hi"}] * 100_000),
    "a message of 20 MiB": question(messages=[{"role": "user", "content": "x" * 20 * MIB}]),
    "images of 20 MiB": question(
        messages=[
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "A" * 4 * MIB}}] * 5,
            }
        ]
    ),
    "a million small lists": question(more=[[]] * 1_000_000),
    "half an emoji in 10 MiB": question(more="x" * 10 * MIB)[:-1] + b',"half":"\\ud83d"}',
    "100 lists in each other": question(more=json.loads("[" * 100 + "]" * 100)),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_questions(name: str, tmp_path: Path) -> None:
    answers = said(leaked("a", "5"), finish="tool_calls")
    async with proxied(tmp_path, answers) as proxy:
        assert (await proxy.ask(QUESTIONS[name])).startswith(b"HTTP/1.1 200")
        proxy.stalls.bounded(name)


BODIES = {
    "one text": (b'{"prompt": "', b"x", b'"'),
    "escapes": (b'{"prompt": "', b"\\n", b'"'),
    "numbers": (b'{"prompt": [', b"1,", b"1]"),
    "lists": (b'{"prompt": [', b"[],", b"[]]"),
    "texts": (b'{"prompt": [', b'"a",', b'"a"]'),
    "keys": (b'{"prompt": ""', b',"a":1', b""),
    "blanks": (b'{"prompt": ""', b" ", b""),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_of_4_mib_whose_model_comes_last(name: str, tmp_path: Path) -> None:
    start, unit, end = BODIES[name]
    body = start + unit * (4 * MIB // len(unit) - 10) + end + b', "model": "m1"}'
    async with proxied(tmp_path, models=2) as proxy:
        assert (await proxy.ask(body, COMPLETIONS)).startswith(b"HTTP/1.1 200")
        proxy.stalls.bounded(f"4 MiB of {name}")


ANSWERS = {
    "1 MiB of text at once": said({"content": "some words < x `code`\n" * (MIB // 22)}),
    "1 MiB of thoughts at once": said(
        {"reasoning_content": "some words < x `code`\n" * (MIB // 22)}
    ),
    "1 MiB of JSON at once": said(
        {"content": '{"command": "' + 'if a < \\"b\\": ' * (MIB // 14) + '"}'}
    ),
    "1 MiB in a call at once": said(
        leaked("command", "if a < b: </x>\n" * (MIB // 15)), finish="tool_calls"
    ),
    "an integer of zeros": said(leaked("a", "0" * 12_000 + "x"), finish="tool_calls"),
    "a Python list": said(leaked("l", "[" + "1," * 16_000 + "]"), finish="tool_calls"),
    "20,000 calls": said(
        *({"tool_calls": [native(number)]} for number in range(20_000)), finish="tool_calls"
    ),
    "20,000 calls at once": said(
        {"tool_calls": [native(number) for number in range(20_000)]}, finish="tool_calls"
    ),
    "2,000 calls in the text": said(
        {"content": leaked("command", "ls")["content"] * 2_000}, finish="tool_calls"
    ),
    "arguments that are no object": said(
        *(
            {"tool_calls": [native(0) | {"function": {"name": "bash", "arguments": "x" * 64}}]}
            for _ in range(3_000)
        )
    ),
    "an error that repeats itself": b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"
    + json.dumps({"error": {"message": "Failed to parse a 1234, request " * (MIB // 32)}}).encode(),
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
async def test_answers(name: str, streamed: bool, tmp_path: Path) -> None:
    async with proxied(tmp_path, ANSWERS[name]) as proxy:
        answer = await proxy.ask(
            question(
                stream=streamed, tools=[tool(properties=TYPES | {"command": {"type": "string"}})]
            )
        )
        assert answer.startswith(b"HTTP/1.1 400" if "error" in name else b"HTTP/1.1 200")
        proxy.stalls.bounded(name + (", streamed" if streamed else ""))
