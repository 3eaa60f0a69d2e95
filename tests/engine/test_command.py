"""The command as a process: what it prints can be pasted, and however it ends, nothing of it is
left.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from tests import jsonc
from tests.acceptance.processes import bare_environment
from tests.engine.conversation import CONTENT, curl_line, endless
from tests.engine.process import Proxy, serving
from tests.patience import HANGS, PROMPT
from tests.process.conftest import alive, nothing_left

# Stands in for curl in the shell that reads the line, and shows what curl would have been given.
SHOW = "curl() { printf '%s\\0' \"$@\"; }\n"


@pytest.fixture
def ours(interruptible: None, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy that may be killed."""
    with serving(tmp_path) as proxy:
        yield proxy


def pasted(line: str) -> httpx.Request:
    """What curl sends, where a real shell has read the line."""
    shown = subprocess.run(
        ["/bin/sh", "-c", SHOW + line], capture_output=True, text=True, check=True
    ).stdout
    url, *options = shown.removesuffix("\0").split("\0")
    pairs = list(zip(options[::2], options[1::2], strict=True))
    headers = [value.partition(": ") for option, value in pairs if option == "-H"]
    [body] = [value for option, value in pairs if option == "-d"]
    assert {option for option, _ in pairs} == {"-H", "-d"}
    return httpx.Request(
        "POST", url, headers={name: value for name, _, value in headers}, content=body.encode()
    )


def test_the_line_to_paste_works(served: Proxy) -> None:
    with httpx.Client(trust_env=False, timeout=HANGS) as client:
        answer = client.send(pasted(curl_line(served.banner)))
    assert answer.status_code == 200
    [choice] = answer.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (CONTENT, "tool_calls")
    [call] = choice["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"command": "ls -la"}


def test_the_doctor_says_where_the_model_runs(served: Proxy, tmp_path: Path) -> None:
    environment = bare_environment(tmp_path) | {"PROXY_PORT": served.url.rpartition(":")[2]}
    command = [sys.executable, "-P", "-m", "proxy", "doctor"]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    ).stdout
    assert re.search(
        r"^ok  running +http://127\.0\.0\.1:\d+/v1: llama_cpp, tiny-toolcaller$", told, re.MULTILINE
    )
    assert re.search(
        r"^ok  tiny-toolcaller +ready: \w+, context 32,768 in 2 slots, \d+ MiB$", told, re.MULTILINE
    )
    assert told.endswith("\nno problems found\n")


def test_the_banner_shows_the_model(served: Proxy) -> None:
    assert f"llama-bridge listens on {served.url}/v1" in served.banner
    assert re.search(r"backend +llama_cpp at http://127\.0\.0\.1:\d+/v1", served.banner)
    assert re.search(r"model +tiny-toolcaller on \w+, context 32,768 tokens", served.banner)
    snippet = jsonc.parsed(
        served.banner[served.banner.index("\n{") : served.banner.rindex("}") + 1]
    )
    assert snippet["provider"]["llama-bridge"]["options"]["baseURL"] == f"{served.url}/v1"


class Reader:
    """A client with a stream under way."""

    def __init__(self, url: str) -> None:
        body = json.dumps(endless(stream=True)).encode()
        parsed = httpx.URL(url)
        self.socket = socket.create_connection((parsed.host, parsed.port), timeout=HANGS)
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parsed.netloc.decode()}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)
        self.read = b""
        while self.read.count(b"data: ") < 20:
            self.more()

    def more(self) -> bytes:
        """What came; empty at the end."""
        piece = b""
        with suppress(ConnectionResetError):
            piece = self.socket.recv(65536)
        self.read += piece
        return piece

    def close(self) -> None:
        self.socket.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_all_at_once_in_the_middle_of_a_stream(
    ours: Proxy, number: signal.Signals
) -> None:
    group = os.getpgid(ours.engine)
    assert alive(group)
    with closing(Reader(ours.url)) as reader:
        began = time.monotonic()
        ours.program.process.send_signal(number)
        while reader.more():
            pass
        ours.program.wait("end", HANGS)
        assert time.monotonic() - began < PROMPT
    assert ours.program.process.returncode == 0
    assert b"[DONE]" not in reader.read
    assert not reader.read.endswith(b"\r\n0\r\n\r\n")  # cut, not ended
    assert "Traceback" not in ours.program.output()
    await nothing_left(group)


async def test_a_killed_proxy_leaves_no_server_behind(ours: Proxy) -> None:
    group = os.getpgid(ours.engine)
    assert any(str(ours.engine) in row for row in alive(group))
    with closing(Reader(ours.url)):
        ours.program.process.kill()
        ours.program.wait("end", HANGS)
        await nothing_left(group)


def test_after_an_interrupt_at_rest_nothing_is_left(ours: Proxy) -> None:
    group = os.getpgid(ours.engine)
    began = time.monotonic()
    ours.program.process.send_signal(signal.SIGINT)
    ours.program.wait("end", HANGS)
    assert time.monotonic() - began < PROMPT
    assert ours.program.process.returncode == 0
    assert alive(group) == []  # by the time it ends, not only soon after
