"""A llama-server that is a real process and can do everything a real one does wrong.

Its conduct is written into its script.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HELP = """
-m,    --model FNAME                    model path to load
-c,    --ctx-size N                     size of the prompt context
--temp N                                temperature
"""


@dataclass(frozen=True)
class Conduct:
    says: tuple[str, ...] = ()  # to its log, first of all
    exits: int | None = None  # with this code, before it listens
    dies_by: int | None = None  # this signal, before it listens
    misbehaves: int = 1000  # so many starts, then it is good
    hangs: bool = False  # and never listens
    loading: int = 0  # so many times /health says 503
    health: int = 200
    props: Any = None  # instead of its own
    props_status: int = 200
    token: int = 200  # what /completion answers
    token_hangs: bool = False
    lost: tuple[str, ...] = ()  # paths that it does not know
    cuts: tuple[str, ...] = ()  # paths whose answer breaks off
    answers: int = 1000  # so many times /completion answers, then the process ends with code 7

    def script(self, path: Path, prelude: str = "") -> Path:
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.process.fake_server "
            f"import main; main({str(path)!r})"
        )
        path.write_text(f'#!/bin/sh\n{prelude}\nexec {sys.executable} -c "{code}" "$@"\n')
        path.with_suffix(".json").write_text(json.dumps(asdict(self)))
        path.chmod(0o755)
        return path


def starts(path: Path) -> list[int]:
    """The process ids of all its starts."""
    counter = path.with_suffix(".starts")
    return [int(line) for line in counter.read_text().split()] if counter.exists() else []


class Handler(BaseHTTPRequestHandler):
    conduct: Conduct
    flags: dict[str, str]
    asked = answered = 0

    def log_message(self, format: str, *args: Any) -> None:
        print(format % args, file=sys.stderr, flush=True)

    def say(self, status: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        Handler.asked += 1
        conduct = self.conduct
        if self.path == "/health":
            return self.say(
                503 if Handler.asked <= conduct.loading else conduct.health, {"status": "ok"}
            )
        if self.headers["authorization"] != f"Bearer {os.environ['LLAMA_API_KEY']}":
            return self.say(401, {"error": {"message": "Invalid API Key"}})
        own = {
            "model_path": self.flags["-m"],
            "model_alias": self.flags["--alias"],
            "default_generation_settings": {"n_ctx": int(self.flags["--ctx-size"])},
            "total_slots": 1,
        }
        return self.say(conduct.props_status, own if conduct.props is None else conduct.props)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.conduct.token_hangs:
            time.sleep(600)
        if self.path in self.conduct.cuts:
            self.send_response(200)
            self.send_header("content-length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            return None
        if self.path in self.conduct.lost:
            return self.say(404, {"error": {"message": "File Not Found"}})
        if self.path == "/v1/embeddings":
            return self.say(200, {"data": [{"embedding": [0.5]}]})
        self.say(self.conduct.token, {"content": "a"})
        Handler.answered += 1
        if Handler.answered >= self.conduct.answers:
            sys.exit(7)
        return None


def main(script: str) -> None:
    if "--help" in sys.argv:
        print(HELP)
        return
    path = Path(script)
    conduct = Conduct(**json.loads(path.with_suffix(".json").read_text()))
    with path.with_suffix(".starts").open("a") as counter:
        counter.write(f"{os.getpid()}\n")
    if len(starts(path)) > conduct.misbehaves:
        conduct = Conduct()
    for line in conduct.says:
        print(line, file=sys.stderr, flush=True)
    if conduct.dies_by:
        os.kill(os.getpid(), conduct.dies_by)
    if conduct.exits is not None:
        sys.exit(conduct.exits)
    while conduct.hangs:
        signal.pause()
    arguments = sys.argv[1:]
    Handler.conduct, Handler.flags = conduct, dict(pairwise(arguments))
    with HTTPServer(("127.0.0.1", int(Handler.flags["--port"])), Handler) as server:
        server.serve_forever()
