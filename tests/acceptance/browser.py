"""The page at `/` in a real browser: it shows what happens while it happens, in light and dark,
wide and on a phone.

`make test-browser`. The pictures lie in build/browser: they are there to be looked at.
"""

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import jsonc
from tests.acceptance.chromium import Chromium
from tests.acceptance.processes import Program, bare_environment, running

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "browser"
KEY = "sk-browser"
MODEL = "qwen3-coder-30b-a3b-q4_k_m"
EVIL = '<img src=x onerror="document.title=1">'


class Backend(BaseHTTPRequestHandler):
    """A llama.cpp that reads a prompt until it is told to answer."""

    protocol_version = "HTTP/1.1"
    may_answer = threading.Event()

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def _json(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("server", "llama.cpp")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        return "llama.cpp"

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._json({"data": [{"id": MODEL, "owned_by": "llamacpp", "meta": {"n_ctx": 32768}}]})
        else:
            self._json({"model_alias": MODEL, "default_generation_settings": {"n_ctx": 32768}})

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if question.get("max_tokens") == 1:
            return self._json({"error": {"message": EVIL}}, 400)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self._say(
            {"role": "assistant", "content": None},
            prompt_progress={"total": 10240, "processed": 0, "cache": 0},
        )
        if question.get("max_tokens") != 2:
            self._say({"content": None}, prompt_progress={"total": 10240, "processed": 4096})
            self.may_answer.wait(30)
        for _ in range(40):
            self._say({"content": "word " * 3})
        self._say({}, "stop")
        self.wfile.write(
            b'data: {"choices":[],"usage":{"prompt_tokens":10240,"completion_tokens":120}}\n\n'
            b"data: [DONE]\n\n"
        )
        self.close_connection = True
        return None

    def _say(self, delta: Any, finish: str | None = None, **more: Any) -> None:
        body = {
            "id": "x",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            **more,
        }
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")


class Refusing(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        self.send_error(502)


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Backend.may_answer.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def bridge(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    environment = bare_environment(home) | {
        "BACKEND_URL": backend,
        "PROXY_PORT": "0",
        "PROXY_API_KEYS": KEY,
    }
    with running(
        "llama-bridge", [sys.executable, "-m", "proxy"], home / "output", ROOT, environment
    ) as program:
        yield program.wait_for(lambda: _address(program), "banner", 30)


def _address(program: Program) -> str | None:
    found = re.search(r"listens on (\S+)/v1\n", program.output())
    return found[1] if found else None


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with Chromium(tmp_path / "profile") as browser:
        yield browser


def ask(bridge: str, **fields: Any) -> httpx.Response:
    question = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "the swordfish"}],
        "stream": True,
        **fields,
    }
    return httpx.post(
        f"{bridge}/v1/chat/completions",
        json=question,
        headers={"authorization": f"Bearer {KEY}"},
        timeout=60,
    )


def look(browser: Chromium, width: int, scheme: str) -> None:
    browser.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    browser.ask(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )


def text(browser: Chromium, id: str) -> str:
    return str(browser.value(f"document.getElementById('{id}')?.innerText ?? ''"))


def test_a_browser_without_a_key_is_asked_for_one(browser: Chromium, bridge: str) -> None:
    answer = httpx.get(bridge, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["www-authenticate"].split()[0]) == (401, "Basic")
    answer = httpx.get(bridge, headers={"accept": "text/html"}, auth=("anybody", KEY))
    assert answer.status_code == 200
    page = bridge.replace("http://", f"http://anybody:{KEY}@")
    browser.ask("Page.navigate", url=page + "/")
    browser.until(lambda: text(browser, "state") == "ready")


def test_the_page_shows_what_happens_while_it_happens(browser: Chromium, bridge: str) -> None:
    page = bridge.replace("http://", f"http://anybody:{KEY}@")
    ask(bridge, max_tokens=1)
    ask(bridge, max_tokens=2)
    look(browser, 1100, "light")
    browser.ask("Page.navigate", url=page + "/")
    browser.until(lambda: text(browser, "state") == "ready")
    assert MODEL in text(browser, "facts")
    assert "32,768 tokens" in text(browser, "facts")
    browser.until(lambda: browser.value("document.querySelectorAll('#last tr').length") == 2)
    assert EVIL in text(browser, "last")
    assert browser.value("document.title") == "llama-bridge"
    assert browser.value("document.images.length") == 0

    waiting = threading.Thread(target=ask, args=(bridge,))
    waiting.start()
    browser.until(lambda: "prompt 4,096 of 10,240 (40 %)" in text(browser, "live"))
    assert browser.value("document.querySelector('progress').value") == 40
    for width, scheme in ((1100, "light"), (1100, "dark"), (390, "light"), (390, "dark")):
        look(browser, width, scheme)
        assert browser.value("document.documentElement.scrollWidth <= innerWidth"), (
            "a phone must not scroll sideways"
        )
        assert browser.value("matchMedia('(prefers-color-scheme: dark)').matches") is (
            scheme == "dark"
        )
        browser.screenshot(PICTURES / f"{'wide' if width > 600 else 'phone'}-{scheme}.png")
    Backend.may_answer.set()
    waiting.join(60)
    browser.until(lambda: browser.value("document.querySelectorAll('#last tr').length") == 3)
    browser.until(lambda: text(browser, "live") == "No requests.")
    assert "10,240 (0)" in text(browser, "last")
    assert jsonc.parsed(text(browser, "opencode"))["provider"]["llama-bridge"]["options"] == {
        "baseURL": f"{bridge}/v1",
        "apiKey": "YOUR-KEY",
    }
    assert "swordfish" not in browser.value("document.documentElement.outerHTML")
    assert KEY not in browser.value("document.body.innerText")

    events = {
        message["method"]: message["params"] for message in browser.happened if "method" in message
    }
    assert "Runtime.exceptionThrown" not in events
    assert "Log.entryAdded" not in events, events.get("Log.entryAdded")
    asked = [
        message["params"]["request"]["url"]
        for message in browser.happened
        if message.get("method") == "Network.requestWillBeSent"
    ]
    assert {url.replace(f"anybody:{KEY}@", "") for url in asked} <= {bridge + "/", "data:,"}, asked


def test_a_page_elsewhere_gets_nothing_also_with_the_login_in_the_browser(
    browser: Chromium, bridge: str, backend: str
) -> None:
    browser.ask("Page.navigate", url=bridge.replace("http://", f"http://anybody:{KEY}@") + "/")
    browser.until(lambda: text(browser, "state") == "ready")
    browser.ask("Page.navigate", url=backend + "/elsewhere")  # another origin: another port
    browser.until(lambda: browser.value("location.href").startswith(backend))
    options = (
        "method: 'POST', mode: {mode!r}, credentials: 'include', headers: {{'content-type': "
        "'text/plain'}}, body: '{{}}'"
    )
    steal = f"fetch({{url!r}}, {{{{{options}}}}})"
    url = f"{bridge}/v1/embeddings"
    assert (
        browser.value(steal.format(url=url, mode="cors") + ".then(() => 'read', () => 'refused')")
        == "refused"
    )
    browser.value(steal.format(url=url, mode="no-cors") + ".catch(() => 0).then(() => 0)")
    last = httpx.get(bridge, headers={"authorization": f"Bearer {KEY}"}).json()["last"]
    assert not any(row["path"] == "/v1/embeddings" for row in last)  # it never came past the door


def test_a_page_that_stays_open_finds_the_server_again(
    browser: Chromium, backend: str, tmp_path: Path
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = str(reserved.getsockname()[1])
    environment = bare_environment(tmp_path) | {
        "BACKEND_URL": backend,
        "PROXY_PORT": port,
        "PROXY_API_KEYS": KEY,
    }
    command = [sys.executable, "-m", "proxy"]
    with running("llama-bridge", command, tmp_path / "first", ROOT, environment) as program:
        program.wait_for(lambda: _address(program), "banner", 30)
        browser.ask("Page.navigate", url=f"http://anybody:{KEY}@127.0.0.1:{port}/")
        browser.until(lambda: text(browser, "state") == "ready")
    browser.until(lambda: text(browser, "state") == "llama-bridge does not respond")
    # As a web server before it says so.
    with ThreadingHTTPServer(("127.0.0.1", int(port)), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        browser.until(lambda: text(browser, "line") == "If this persists, reload the page.")
        server.shutdown()
        thread.join()
    with running("llama-bridge", command, tmp_path / "second", ROOT, environment):
        browser.until(lambda: text(browser, "state") == "ready")
        assert text(browser, "line") == ""
