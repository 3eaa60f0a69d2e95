"""The command as a process of its own, over real sockets: what it says, how it serves, and that
it ends when it is told to.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.settings import Settings
from tests.acceptance.processes import Program, running
from tests.backend import chunk
from tests.llama_server.config.test_gguf import LLAMA, made
from tests.patience import HANGS, PROMPT
from tests.process.conftest import alive, nothing_left
from tests.process.fake_server import ROOT, Conduct, starts

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
FIRST = chunk({"content": "first"})


class Handler(BaseHTTPRequestHandler):
    """Lists one model; begins every other answer, and waits until the one who asked has left."""

    protocol_version = "HTTP/1.1"
    server: "Upstream"

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        if self.path == "/silent":
            return self.wait()
        body = json.dumps({"data": [{"id": "the-model"}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def do_POST(self) -> None:
        self.server.uploads.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(FIRST), FIRST))
        self.wait()

    def wait(self) -> None:
        self.server.waiting.release()
        self.connection.settimeout(30)
        self.connection.recv(1)  # nothing comes but the end
        self.server.left.release()
        self.close_connection = True


class Upstream(ThreadingHTTPServer):
    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.waiting, self.left = threading.Semaphore(0), threading.Semaphore(0)
        self.uploads: list[bytes] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


Start = Callable[..., contextlib.AbstractContextManager[Program]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A process without the settings of whoever runs the tests; with what measures the coverage,
    where it is measured.
    """

    def make(*words: str, **settings: str) -> contextlib.AbstractContextManager[Program]:
        ours = {name.upper() for name in Settings.model_fields}
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ours | {"PYTHONUNBUFFERED"}
        }
        environment |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PROXY_PORT": "0", **settings}
        return running(
            "llama-bridge",
            [sys.executable, "-m", "proxy", *words],
            tmp_path / "output",
            ROOT,
            environment,
        )

    return make


def address(program: Program) -> str:
    """Once the banner has been told."""

    def told() -> str | None:
        found = re.search(r"llama-bridge listens on (\S+)/v1\n", program.output())
        return found[1] if found and "Press Ctrl-C to stop.\n" in program.output() else None

    return program.wait_for(told, "banner", HANGS)


def ended(program: Program, number: signal.Signals) -> None:
    began = time.monotonic()
    program.process.send_signal(number)
    program.wait("end", HANGS)
    assert time.monotonic() - began < PROMPT
    assert program.process.returncode == 0, program.evidence()
    assert "Traceback" not in program.output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_a_signal_ends_it_at_once_also_while_an_answer_streams(
    number: signal.Signals, start: Start, upstream: Upstream
) -> None:
    with start("serve", "--backend-url", upstream.url) as program:
        url = address(program)
        assert "  backend  generic at http://127.0.0.1:" in program.output()
        assert "  model    the-model\n" in program.output()
        assert httpx.get(f"{url}/health").json()["status"] == "ok"
        assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "the-model"
        with (
            ThreadPoolExecutor() as threads,
            httpx.stream(
                "POST", f"{url}/v1/chat/completions", json=QUESTION, timeout=HANGS
            ) as answer,
        ):
            silent = threads.submit(httpx.get, f"{url}/silent", timeout=HANGS)
            assert all(upstream.waiting.acquire(timeout=HANGS) for _ in range(2))
            lines = answer.iter_lines()
            assert '"first"' in next(
                line for line in lines if "content" in line and '""' not in line
            )
            ended(program, number)
            rest: list[str] = []
            with pytest.raises(httpx.RemoteProtocolError):
                rest.extend(lines)
            (event,) = (line for line in rest if line)
            error = json.loads(event.removeprefix("data: "))["error"]
            assert (error["code"], error["message"]) == (
                "stopping",
                "this proxy is shutting down (connection lost)",
            )
            assert (silent.result().status_code, silent.result().json()["error"]["code"]) == (
                503,
                "stopping",
            )
        assert all(upstream.left.acquire(timeout=HANGS) for _ in range(2))


def test_a_client_that_leaves_after_its_upload_ends_the_work_of_the_backend(
    start: Start, upstream: Upstream
) -> None:
    with start(BACKEND_URL=upstream.url) as program:
        url = httpx.URL(address(program))
        body = json.dumps(QUESTION).encode()
        for path in ("/v1/chat/completions", "/v1/completions", "/upstream/v1/embeddings"):
            with socket.create_connection((url.host, url.port or 80), timeout=HANGS) as client:
                head = (
                    f"POST {path} HTTP/1.1\r\nhost: {url.netloc.decode()}\r\n"
                    f"content-length: {len(body)}\r\n\r\n"
                )
                client.sendall(head.encode() + body)
                received = b""
                while b"first" not in received:
                    received += client.recv(1000)
                # It works as long as somebody listens.
                assert not upstream.left.acquire(timeout=0.1)
            assert upstream.left.acquire(timeout=HANGS), path
        assert [json.loads(upload)["messages"] for upload in upstream.uploads] == [
            QUESTION["messages"]
        ] * 3


def test_a_backend_that_is_down_is_reported_and_detected_when_it_is_up(start: Start) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with start(BACKEND_URL=f"http://127.0.0.1:{port}") as program:
            url = address(program)
            assert (
                f"  not ready yet: cannot connect to http://127.0.0.1:{port}; "
                f"check that the backend is running"
            ) in program.output()
            refused = httpx.get(f"{url}/health")
            assert (refused.status_code, refused.json()["status"]) == (503, "unavailable")
            reserved.close()
            with Upstream(port):
                program.wait_for(
                    lambda: httpx.get(f"{url}/health").is_success or None, "health", 10
                )
                assert httpx.get(f"{url}/v1/models").is_success


def test_a_key_that_was_given_is_printed_nowhere(start: Start, upstream: Upstream) -> None:
    with start(
        "serve", "--backend-url", upstream.url, PROXY_API_KEYS="topsecret,other", LOG_FORMAT="json"
    ) as program:
        url = address(program)
        assert '"apiKey": "YOUR-KEY"' in program.output()
        refused = httpx.get(f"{url}/v1/models")
        assert refused.status_code == 401
        assert httpx.get(f"{url}/v1/models", auth=("me", "other")).status_code == 200
        program.wait_for(
            lambda: True if refused.headers["x-request-id"] in program.output() else None,
            "line",
            10,
        )
        lines = [
            json.loads(line) for line in program.output().splitlines() if line.startswith('{"time"')
        ]
        assert (
            lines[0]["request_id"]
            == refused.json()["error"]["request_id"]
            == refused.headers["x-request-id"]
        )
        assert "topsecret" not in program.output()
        assert "other" not in program.output().replace("another", "")


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., Path]:
    return lambda **conduct: Conduct(**conduct).script(tmp_path / "llama-server")


def test_our_own_child_goes_with_us(
    start: Start, engine: Callable[..., Path], tmp_path: Path
) -> None:
    script = engine()
    with start(
        "serve", LLAMA_SERVER=str(script), LLAMA_MODEL=str(made(tmp_path / "qwen.gguf", LLAMA))
    ) as program:
        url = address(program)
        assert "  model    qwen, context 4,096 tokens\n" in program.output()
        assert httpx.get(f"{url}/props").json()["model_alias"] == "qwen"
        group = os.getpgid(starts(script)[0])
        assert alive(group)
        ended(program, signal.SIGINT)
        asyncio.run(nothing_left(group))


@pytest.mark.parametrize("times", [1, 2])
def test_it_can_be_ended_while_its_child_starts(
    times: int, start: Start, engine: Callable[..., Path], tmp_path: Path
) -> None:
    script = engine(hangs=True)
    with start(
        LLAMA_SERVER=str(script), LLAMA_MODEL=str(made(tmp_path / "qwen.gguf", LLAMA))
    ) as program:
        (pid,) = program.wait_for(lambda: starts(script) or None, "start of the child", HANGS)
        group = os.getpgid(pid)
        for _ in range(times - 1):
            program.process.send_signal(signal.SIGINT)
        ended(program, signal.SIGINT)
        asyncio.run(nothing_left(group))
        assert "listens on" not in program.output()


def test_a_model_on_a_disk_that_is_not_mounted_is_named_and_the_proxy_stays(
    start: Start, tmp_path: Path
) -> None:
    with start(LLAMA_MODEL="/no/such/model.gguf", PATH=str(tmp_path)) as program:
        url = address(program)
        reason = "our llama-server has failed: no such file: /no/such/model.gguf"
        assert f"  cannot serve: {reason}\n" in program.output()
        assert len(program.output().splitlines()) < 10
        assert httpx.get(f"{url}/health").json()["reason"].startswith(reason)
        answer = httpx.post(f"{url}/v1/chat/completions", json=QUESTION)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "child_failed")
        assert "/no/such/model.gguf" in answer.json()["error"]["message"]


def test_a_mistyped_path_of_a_model_is_one_line(start: Start, tmp_path: Path) -> None:
    made(tmp_path / "coder.gguf", LLAMA)
    with start(LLAMA_MODEL=str(tmp_path / "codre.gguf")) as program:
        program.wait("end", HANGS)
        complaint = f"no such file: {tmp_path}/codre.gguf; {tmp_path} contains: coder.gguf"
        assert program.output() == f"llama-bridge: LLAMA_MODEL: {complaint}\n"
        assert program.process.returncode != 0


def test_a_damaged_model_file_is_left_out_and_named(
    start: Start, engine: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    made(folder / "qwen.gguf", LLAMA)
    (folder / "half.gguf").write_bytes((folder / "qwen.gguf").read_bytes()[:30])
    with start(LLAMA_SERVER=str(engine()), LLAMA_MODEL=str(folder)) as program:
        address(program)
        assert f"skipped {folder}/half.gguf: " in program.output()
        assert "  model    qwen, " in program.output()


def test_sighup_reloads_the_configuration(
    start: Start, engine: Callable[..., Path], tmp_path: Path
) -> None:
    script, conf = engine(), tmp_path / "my.conf"
    conf.write_text("[*]\nctx-size = 4096\n")
    with start(
        LLAMA_SERVER=str(script),
        LLAMA_MODEL=str(made(tmp_path / "qwen.gguf", LLAMA)),
        LLAMA_SERVER_CONF=str(conf),
    ) as program:
        address(program)
        for text, said in (
            ("[*]\nctx-size = 4096\n", "changed: nothing"),
            ("nonsense\n", "my.conf:1: nonsense is before the first section"),
            ("[*]\nctx-size = 8192\n", "changed: qwen"),
        ):
            conf.write_text(text)
            program.process.send_signal(signal.SIGHUP)
            program.wait_for(partial(_heard, program, said), said, HANGS)
        program.wait_for(lambda: len(starts(script)) == 2 or None, "second start", HANGS)
        ended(program, signal.SIGTERM)


def _heard(program: Program, said: str) -> bool | None:
    return said in program.output() or None
