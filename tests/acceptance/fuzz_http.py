"""Whatever a client sends, for a minute, against the running server: never a 500 of ours, never a
hang, and others are served.

`make test-fuzz-http`; `FUZZ_SECONDS` says how long, `--hypothesis-seed` repeats a run. A 502 or 503
is an answer too: the backend says whatever it likes.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acceptance.processes import Program, bare_environment, running
from tests.acceptance.stalls import Stalls

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
HANG = 10.0
CHAT = "/v1/chat/completions"
ERRORS = {"message", "type", "param", "code", "request_id"}


class Backend(BaseHTTPRequestHandler):
    """Answers with what the next of the tests has put there."""

    protocol_version = "HTTP/1.1"
    answer = b""

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        self._say(b'{"data": [{"id": "m"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self._say(Backend.answer)

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has left: that is what this is about."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, int]]:
    home = tmp_path_factory.mktemp("fuzz")
    with Server(("127.0.0.1", 0), Backend) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        stalls = Stalls(home)
        environment = (
            bare_environment(home)
            | {"BACKEND_URL": url, "BACKEND_KIND": "generic", "PROXY_PORT": "0"}
            | stalls.environment
        )
        with running("llama-bridge", stalls.command, home / "output", ROOT, environment) as program:
            yield program, program.wait_for(lambda: _port(program), "banner", 30)
            stalls.bounded("all requests and answers")
        server.shutdown()
        thread.join()


def _port(program: Program) -> int | None:
    found = re.search(r"listens on http://127.0.0.1:(\d+)/v1\n", program.output())
    return int(found[1]) if found else None


def sound(answer: bytes, method: str = "POST") -> None:
    """An answer with a status of its own, and every refusal in the one shape."""
    if not answer:
        return  # closed: nothing was asked, or nothing more could be read
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status != 500, answer[:2_000]
    if status >= 400 and method != "HEAD" and b"application/json" in head and b'"error"' in body:
        length = re.search(rb"content-length: (\d+)", head)
        error = json.loads(body[: int(length[1])] if length else body)["error"]
        assert error.keys() >= ERRORS, error


def exchange(port: int, data: bytes) -> bytes:
    """All that comes, until the server ends the connection or has said nothing for a moment
    after the client has ended its half.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(65_536):
                said += piece
        return said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "tool",
        "system",
        "<tool_call>",
        '{"name": "bash", "arguments": {',
        "</think>",
        "text",
        "image_url",
    ]
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": WORDS | JSON,
        "content": WORDS
        | JSON
        | st.lists(st.fixed_dictionaries({"type": WORDS, "text": JSON}), max_size=2),
        "reasoning_content": JSON | st.just("[llama-bridge] prompt\n"),
        "tool_calls": JSON
        | st.lists(st.fixed_dictionaries({"id": JSON, "function": JSON}), max_size=2),
        "tool_call_id": JSON,
    },
)
TOOL = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": st.just("bash") | JSON, "parameters": JSON}),
    }
)
QUESTION = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE | JSON, max_size=3) | JSON},
    optional={
        "model": st.just("m") | JSON,
        "stream": st.booleans() | JSON,
        "stream_options": JSON | st.just({"include_usage": True}),
        "tools": st.lists(TOOL | JSON, max_size=3) | JSON,
        "tool_choice": JSON | st.sampled_from(["none", "auto", "required"]),
        "n": st.integers(-1, 3) | JSON,
        "parallel_tool_calls": JSON,
        "logprobs": JSON,
        "max_tokens": JSON,
    },
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": WORDS | JSON,
        "reasoning_content": WORDS | JSON,
        "tool_calls": JSON | st.lists(JSON, max_size=2),
        "role": JSON,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON | st.integers(0, 2),
        "delta": DELTA | JSON,
        "message": DELTA,
        "finish_reason": WORDS | JSON | st.just("stop"),
    },
)
CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(CHOICE, max_size=2) | JSON,
        "usage": JSON,
        "error": JSON,
        "prompt_progress": JSON,
        "model": JSON,
    },
)
ANSWER = st.lists(CHUNK | JSON, max_size=5).map(
    lambda chunks: b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
)
ANSWER = (
    ANSWER
    | ANSWER.map(lambda said: said + b"data: [DONE]\n\n")
    | st.binary(max_size=100)
    | (CHUNK | JSON).map(lambda one: json.dumps(one).encode())
)

METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
PATHS = st.sampled_from(
    [
        "/",
        "/health",
        CHAT,
        "/v1/models",
        "/v1/models/m",
        "/v1/models/%00",
        "/props",
        "/upstream/",
        "/v1/embeddings",
    ]
)
ANYWHERE = PATHS | st.text("/.%25aA?#;:@ \\é", max_size=20).map(lambda path: "/" + path)
NAMES = st.sampled_from(
    [
        "host",
        "origin",
        "authorization",
        "x-api-key",
        "accept",
        "content-type",
        "connection",
        "te",
        "expect",
        "upgrade",
        "sec-fetch-site",
        "cookie",
        "x-request-id",
        "access-control-request-method",
        "x-llama-bridge",
        "content-length",
        "transfer-encoding",
    ]
)
VALUES = st.sampled_from(
    [
        "127.0.0.1",
        "",
        "*",
        "null",
        "chunked",
        "close",
        "100-continue",
        "text/html",
        "text/plain",
        "Basic !",
        "Bearer",
        "5",
        "websocket",
        "h2c",
        "Upgrade",
    ]
) | st.text(st.characters(max_codepoint=255), max_size=20)
HEADERS = st.lists(st.tuples(NAMES | st.text("abc-_ :\t", max_size=6), VALUES), max_size=6)


def fuzz(function: Any) -> None:
    """For its share of the time, whatever number of examples that is."""
    once = settings(
        max_examples=100, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )(function)
    until = time.monotonic() + SECONDS / 3
    while time.monotonic() < until:
        once()


def alive(program: Program, port: int) -> None:
    Backend.answer = (
        b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    answer = httpx.post(f"http://127.0.0.1:{port}{CHAT}", json={"messages": []}, timeout=HANG)
    assert answer.json()["choices"][0]["message"]["content"] == "hi"
    assert "Traceback" not in program.output(), program.evidence()


def test_questions(program: tuple[Program, int]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{program[1]}", timeout=HANG) as client:

        @given(QUESTION | JSON, ANSWER)
        def ask(question: Any, answer: bytes) -> None:
            Backend.answer = answer
            said = client.post(CHAT, content=json.dumps(question).encode())
            assert said.status_code != 500 or said.json()["error"]["code"] == "backend_failed", (
                said.text,
                program[0].evidence(),
            )
            if said.status_code >= 400:
                assert said.json()["error"].keys() >= ERRORS

        fuzz(ask)
    alive(*program)


def test_heads(program: tuple[Program, int]) -> None:
    heard: Counter[bool] = Counter()

    @given(METHODS, ANYWHERE, HEADERS, st.binary(max_size=50))
    def ask(method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
        lines = [
            f"{method} {path} HTTP/1.1",
            "host: 127.0.0.1",
            "connection: close",
            *(f"{name}: {value}" for name, value in headers),
        ]
        if not any("event-stream" in value for _, value in headers):
            said = exchange(program[1], "\r\n".join([*lines, "", ""]).encode("utf-8") + body)
            heard[bool(said)] += 1
            sound(said, method)

    fuzz(ask)
    print(f"answered: {heard[True]}, closed: {heard[False]}")
    # Who closes every connection answers nothing wrong either.
    assert heard[True] > 4 * heard[False]
    alive(*program)


def test_bytes(program: tuple[Program, int]) -> None:
    whole = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16\r\n"
        b'Connection: close\r\n\r\n{"messages": []}'
    )

    @given(st.binary(max_size=200), st.integers(0, len(whole)), st.integers(0, len(whole)))
    def ask(noise: bytes, at: int, to: int) -> None:
        sound(exchange(program[1], whole[:at] + noise + whole[to:]))

    fuzz(ask)
    alive(*program)
