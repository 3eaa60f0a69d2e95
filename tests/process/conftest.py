"""A machine with a llama-server on it that does what it is told to do wrong."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from proxy.llama_server import LaunchSpec, Supervisor, Timeouts
from tests.patience import HANGS, until
from tests.process.fake_server import Conduct

TINY = Path(__file__).parents[2] / "proxy/tiny_model/tiny-toolcaller.gguf"
FAST = Timeouts(wait=20, load=20, token=20, grace=5, kill=5, failed=0.2, backoff=0.01)


class Fake(Protocol):
    def __call__(
        self,
        prelude: str = "",
        *,
        timings: Timeouts = FAST,
        on_line: Callable[[str], None] = ...,
        **conduct: Any,
    ) -> Supervisor: ...


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    def make(
        prelude: str = "",
        *,
        timings: Timeouts = FAST,
        on_line: Callable[[str], None] = print,
        **conduct: Any,
    ) -> Supervisor:
        engine = Conduct(**conduct).script(tmp_path / "llama-server", prelude)
        (tmp_path / "model.gguf").touch()
        return Supervisor(
            LaunchSpec(tmp_path / "model.gguf", "fake", engine, ("--ctx-size", "32768")),
            on_line=on_line,
            timeouts=timings,
        )

    return make


def alive(group: int | None) -> list[str]:
    """The processes of a group, the dead that nobody has buried yet left out."""
    shown: list[str] = []
    for process in psutil.process_iter(["pid", "status", "cmdline"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                shown.append(
                    f"{process.pid} {process.info['status']} "
                    f"{' '.join(process.info['cmdline'] or [])}"
                )
    return shown


async def nothing_left(group: int | None, within: float = HANGS) -> None:
    await until(lambda: not alive(group), within)
