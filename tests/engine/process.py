"""`llama-bridge serve` as a process of its own, in a home where nothing is configured."""

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import Program, bare_environment, running
from tests.patience import HANGS

SECONDS = HANGS
WELCOME = re.compile(
    r"llama-bridge listens on (http://127\.0\.0\.1:\d+)/v1\n.*Press Ctrl-C to stop\.", re.DOTALL
)
ENGINE = re.compile(r"is ready: in [\d.]+ s, process (\d+)")


@dataclass(frozen=True)
class Proxy:
    program: Program
    url: str
    banner: str
    engine: int  # the process of its llama-server


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Proxy]:
    command = [sys.executable, "-P", "-m", "proxy", "serve", "--proxy-port", "0"]
    with running("llama-bridge", command, home / "log", home, bare_environment(home)) as program:
        banner = program.wait_for(lambda: WELCOME.search(program.output()), "welcome", SECONDS)
        engine = program.wait_for(lambda: ENGINE.search(program.output()), "engine", SECONDS)
        yield Proxy(program, banner[1], banner[0], int(engine[1]))
