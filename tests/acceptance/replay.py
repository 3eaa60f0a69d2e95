"""A server of any kind, made of its table: it answers with the bytes of the entry that the
user's last message names.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.backends.transcripts import Entry, entries

PIECE = 61  # bytes at a time: letters and lines are cut
BESIDES: dict[str, dict[str, str]] = {
    "llama_cpp": {
        "/props": '{"default_generation_settings":{"n_ctx":2048},"model_alias":"tiny-toolcaller"}'
    },
    "lm_studio": {"/lmstudio-greeting": '{"lmstudio":true}'},
    "ollama": {
        "/": "Ollama is running",
        "/api/version": '{"version":"0.12.1"}',
        "/api/ps": '{"models":[]}',
    },
}


class Replay(BaseHTTPRequestHandler):
    kind: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        listed = next(entry for entry in entries(self.kind) if entry.lists_models)
        body = (
            listed.body.decode()
            if self.path == "/v1/models"
            else BESIDES.get(self.kind, {}).get(self.path)
        )
        self._say(
            200 if body is not None else 404,
            {"content-type": "application/json"},
            (body or '{"detail":"Not Found"}').encode(),
        )

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = asked["messages"][-1]["content"]
        entry = next(entry for entry in entries(self.kind) if entry.name == name)
        self._say(entry.status, entry.headers, entry.body, is_cut=entry.is_cut)

    def _say(
        self, status: int, headers: dict[str, str], body: bytes, *, is_cut: bool = False
    ) -> None:
        self.close_connection = True
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), PIECE):
            piece = body[at : at + PIECE]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if not is_cut:  # without the last chunk the other side sees that something is missing
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """What it was asked is in the table."""


@contextlib.contextmanager
def replaying(kind: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Replay,), {"kind": kind}))
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def model_of(entry: Entry) -> str:
    return next(
        str(listed.means["models"][0][0]) for listed in entries(entry.kind) if listed.lists_models
    )
