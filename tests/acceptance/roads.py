"""The roads under test: OpenCode → recorder → the proxy as it is installed → (recorder → the
real llama.cpp server).
"""

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from tests.acceptance.processes import Program, bare_environment, running
from tests.acceptance.recorder import Exchange, Recorder, recording

HERE = Path(__file__).resolve().parent
MODEL = HERE.parents[1] / "proxy" / "tiny_model" / "tiny-toolcaller.gguf"
PROXY = Path(sys.executable).with_name("llama-bridge")
START_SECONDS = 60
LISTENING = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")
SNIPPET = re.compile(r"^\{$.+?^\}$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Road:
    """What one scenario walks; `backend` is None where the proxy's own child answers."""

    proxy: Program
    front: Recorder
    backend: Recorder | None = None
    engine: Program | None = None

    @property
    def base_url(self) -> str:
        return f"{self.front.url}/v1"

    def snippet(self) -> str:
        """The opencode.json that the proxy prints for its user, with our recorder's address in
        place of its own.
        """
        printed = self.proxy.wait_for(
            lambda: SNIPPET.search(self.proxy.output()), "opencode.json to paste", START_SECONDS
        )[0]
        return re.sub(r"http://127\.0\.0\.1:\d+", self.front.url, printed)

    def chats_behind(self) -> list[Exchange]:
        """The turns as they reached the scripted engine."""
        return self.backend.chats() if self.backend else []

    def evidence(self) -> str:
        return "\n".join(
            part.evidence() for part in (self.front, self.backend, self.proxy, self.engine) if part
        )


@contextlib.contextmanager
def proxy(name: str, home: Path, **settings: str) -> Iterator[tuple[Program, Recorder]]:
    """`llama-bridge serve` in an empty folder and a fresh home, configured by nothing but a free
    port and what is said here.
    """
    home.mkdir()
    environment = bare_environment(home) | {"PROXY_PORT": "0", **settings}
    with running(
        f"llama-bridge {name}", [PROXY, "serve"], home / "log", home, environment
    ) as program:
        port = address(program)
        program.wait_for(lambda: healthy(port), "200 from /health", START_SECONDS)
        with recording(f"the proxy ({name})", port) as front:
            yield program, front


@contextlib.contextmanager
def plain_road(home: Path) -> Iterator[Road]:
    """Nothing configured: the proxy's own child and the model that ships with it."""
    with proxy("plain", home) as (program, front):
        yield Road(program, front)


@contextlib.contextmanager
def scripted_road(name: str, home: Path, grammar: str) -> Iterator[Road]:
    script = home.with_suffix(".gbnf")
    script.write_text(grammar, encoding="utf-8")
    command: list[str | Path] = [sys.executable, HERE / "engine.py", MODEL, script]
    with (
        running(
            f"llama.cpp {name}", command, home.with_suffix(".log"), HERE, bare_environment(home)
        ) as engine,
        recording(f"llama.cpp ({name})", address(engine)) as backend,
        proxy(name, home, BACKEND_URL=backend.url) as (program, front),
    ):
        yield Road(program, front, backend, engine)


def address(program: Program) -> int:
    """The port that the program says it listens on."""
    return int(
        program.wait_for(lambda: LISTENING.search(program.output()), "address", START_SECONDS)[1]
    )


def healthy(port: int) -> Literal[True] | None:
    with contextlib.suppress(httpx.HTTPError):
        answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False)
        return True if answer.status_code == httpx.codes.OK else None
    return None
