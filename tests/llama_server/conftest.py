"""A machine with a llama-server on it that does what it is told to do wrong."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import anyio
import pytest

from proxy.llama_server import Launch, Supervisor, Timings

from .fake_server import Conduct

TINY = Path(__file__).parents[2] / "proxy/tiny_model/tiny-toolcaller.gguf"
FAST = Timings(wait=20, load=20, token=20, grace=5, kill=5, failed=0.2, rest=0.01)


class Fake(Protocol):
    def __call__(
        self, prelude: str = "", *, timings: Timings = FAST, on_line: Callable[[str], None] = ..., **conduct: Any
    ) -> Supervisor: ...


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    def make(prelude: str = "", *, timings: Timings = FAST, on_line: Callable[[str], None] = print, **conduct: Any) -> Supervisor:
        engine = Conduct(**conduct).script(tmp_path / "llama-server", prelude)
        return Supervisor(Launch(tmp_path / "model.gguf", "fake", engine, ("--ctx-size", "32768")), on_line=on_line, timings=timings)

    return make


def alive(group: int | None) -> list[str]:
    """What `ps` shows of a process group, the dead that nobody has buried yet left out."""
    shown = subprocess.run(["ps", "-ww", "-A", "-o", "pgid=,pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in shown.splitlines()]
    return [" ".join(row) for row in rows if row[0] == str(group) and not row[2].startswith("Z")]


async def nothing_left(group: int | None, within: float = 5) -> None:
    await until(lambda: not alive(group), within)


async def until(true: Callable[[], object], within: float = 15) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within
        await anyio.sleep(0.005)
