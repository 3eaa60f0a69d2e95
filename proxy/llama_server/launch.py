"""What to start, as plain values, and with which engine: a llama-server of the machine, else the
one in the wheel.
"""

import importlib.util
import os
import random
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WHEEL = "xllamacpp"
HOST = "127.0.0.1"
# The child has no business with them.
SECRETS = ("PROXY_API_KEYS", "BACKEND_API_KEY", "ZEN_API_KEY")

# Below the range that systems take client ports from: connecting to a port of that range where
# nobody listens yet can meet itself, and then nobody ever can listen there.
PORTS = range(20000, 32000)


class EngineMissing(ValueError):
    """There is nothing that could run a model; the message says how to get it."""


@dataclass(frozen=True)
class LaunchSpec:
    model: Path | str  # a file, or what llama-server's own downloader shall fetch: owner/repo:quant
    alias: str
    engine: Path | None = None  # a llama-server; None is the wheel
    flags: tuple[str, ...] = ()  # as this engine takes them
    variables: tuple[tuple[str, str], ...] = ()  # of the environment, beside ours

    def command(self, port: int) -> list[str]:
        """Both engines take the same flags.

        The key is not among them: `ps` shows a command line to everybody.
        """
        engine = (
            [str(self.engine)]
            if self.engine
            else [sys.executable, "-P", str(Path(__file__).with_name("wheel_server.py"))]
        )
        model = (
            ["-m", str(self.model)] if isinstance(self.model, Path) else ["--hf-repo", self.model]
        )
        return [
            *engine,
            *model,
            "--alias",
            self.alias,
            "--host",
            HOST,
            "--port",
            str(port),
            *self.flags,
        ]

    def environment(self, key: str) -> dict[str, str]:
        """LLAMA_ARG_… of ours would be flags that nobody sees: the configuration is the place for
        them. Where gdb is there, a backtrace would take its time, and bury the reason under a
        hundred lines."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if name not in SECRETS and not name.startswith("LLAMA_ARG_")
        }
        return {"GGML_NO_BACKTRACE": "1"} | ours | dict(self.variables) | {"LLAMA_API_KEY": key}


def find_engine(
    named: Path | str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    by: str = "LLAMA_SERVER",
) -> Path | None:
    """The engine that LLAMA_SERVER names, else `llama-server` on the PATH, else None for the
    wheel, else EngineMissing.
    """
    path = environment.get("PATH")
    if named:
        found = shutil.which(Path(named).expanduser(), path=path)
        if found is None:
            raise EngineMissing(
                f"{by} names {named}, but there is no program of that name. "
                f"Give the path of a llama-server."
            )
        return Path(found).absolute()
    if found := shutil.which("llama-server", path=path):
        return Path(found).absolute()
    if importlib.util.find_spec(WHEEL):
        return None
    raise EngineMissing(
        "There is no llama-server on this machine, and the wheel that carries one is not "
        "installed. Do one of these: "
        f"`pip install {WHEEL}`; install llama.cpp (macOS: `brew install llama.cpp`, others: "
        "https://github.com/ggml-org/llama.cpp/releases) and put llama-server on the PATH or "
        "name it in LLAMA_SERVER; "
        "or name a running server in BACKEND_URL."
    )


def free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port found on {HOST}.")


@dataclass(frozen=True)
class ProcessAddress:
    url: str
    key: str
