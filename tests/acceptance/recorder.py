"""An HTTP pass-through that writes down what goes by: it stands where a test wants to know what
was really asked and answered.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "proxy-authorization",
    "proxy-authenticate",
}
SHOWN = 1_500  # characters of a question and of an answer that a failure shows
SILENCE = 120  # seconds without a byte from behind


@dataclass
class Exchange:
    """One request and what came back, word for word."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int = 0
    answer: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def question(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.question["messages"]
        return messages

    @property
    def events(self) -> list[str]:
        """The data of each server-sent event."""
        lines = self.answer.decode("utf-8").split("\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    def evidence(self) -> str:
        """The ends are what counts: a question's last messages, an answer's last chunks."""
        head = f"{self.method} {self.path} {self.status}"
        if self.path != "/v1/chat/completions":
            return head
        asked = json.dumps(self.messages[1:], ensure_ascii=False)
        return (
            f"{head}\n  … {asked[-SHOWN:]}\n  … {self.answer.decode('utf-8', 'replace')[-SHOWN:]}"
        )


class Recorder:
    def __init__(self, name: str, target_port: int) -> None:
        self.name, self.target_port = name, target_port
        self.exchanges: list[Exchange] = []
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (PassThrough,), {"recorder": self})
        )
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def chats(self, session: str | None = None) -> list[Exchange]:
        """The chat requests that offered tools; the rest are titles and summaries.

        With a session of OpenCode: only its own.
        """
        chats = [
            exchange
            for exchange in tuple(self.exchanges)
            if exchange.path == "/v1/chat/completions"
        ]
        return [
            chat
            for chat in chats
            if chat.question.get("tools") and session in (None, chat.headers.get("x-session-id"))
        ]

    def evidence(self) -> str:
        return "\n".join(
            [
                f"--- what {self.name} was asked ---",
                *(exchange.evidence() for exchange in tuple(self.exchanges)),
            ]
        )


class PassThrough(BaseHTTPRequestHandler):
    recorder: Recorder
    protocol_version = "HTTP/1.1"
    timeout = SILENCE

    def do_GET(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        exchange = Exchange(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        self.recorder.exchanges.append(exchange)
        headers = {
            name: value
            for name, value in exchange.headers.items()
            if name not in HOP_BY_HOP | {"host"}
        }
        behind = http.client.HTTPConnection("127.0.0.1", self.recorder.target_port, timeout=SILENCE)
        # A side that hangs up ends the other one: both connections close, and nothing more is
        # written.
        with contextlib.closing(behind), contextlib.suppress(OSError, http.client.HTTPException):
            behind.request(self.command, self.path, body or None, headers)
            self.pass_back(exchange, behind.getresponse())

    do_POST = do_GET  # noqa: N815

    def pass_back(self, exchange: Exchange, response: http.client.HTTPResponse) -> None:
        exchange.status = response.status
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := response.read1(65_536):
            exchange.answer += piece
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """The record is kept, not printed."""


@contextlib.contextmanager
def recording(name: str, target_port: int) -> Iterator[Recorder]:
    recorder = Recorder(name, target_port)
    thread = threading.Thread(
        target=recorder.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield recorder
    finally:
        recorder.server.shutdown()
        recorder.server.server_close()
        thread.join()
