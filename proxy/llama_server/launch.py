"""Launch parameters of an engine: a llama-server on this machine, or the one in the wheel."""

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
# Environment variables that the child process must not see.
SECRETS = ("PROXY_API_KEYS", "BACKEND_API_KEY", "ZEN_API_KEY")

# Below the range of ephemeral ports: a connection to a free port of that range can connect to
# itself and block the port.
PORTS = range(20000, 32000)


class EngineMissing(ValueError):
    """Error if no engine is available; the message says how to get one."""


@dataclass(frozen=True)
class LaunchSpec:
    model: Path | str  # a file, or `owner/repo:quant` for llama-server's downloader
    alias: str
    engine: Path | None = None  # None: the wheel
    flags: tuple[str, ...] = ()  # in the spelling of this engine
    variables: tuple[tuple[str, str], ...] = ()  # additional environment

    def command(self, port: int) -> list[str]:
        """Return the command line; both engines take the same flags.

        The key is not part of it, because `ps` shows command lines to every user.
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
        """Return the environment of the engine process.

        Secrets of llama-bridge are removed, and so are `LLAMA_ARG_…` variables: options belong in
        llama-server.conf. Backtraces are disabled, because they would delay the exit and bury the
        reason in the log.
        """
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
    """Return the engine to use: `named`, else `llama-server` on the PATH, else None for the wheel.

    Raises EngineMissing if there is none.
    """
    path = environment.get("PATH")
    if named:
        found = shutil.which(Path(named).expanduser(), path=path)
        if found is None:
            raise EngineMissing(
                f"{by}: no such program: {named}; set it to the path of a llama-server"
            )
        return Path(found).absolute()
    if found := shutil.which("llama-server", path=path):
        return Path(found).absolute()
    if importlib.util.find_spec(WHEEL):
        return None
    raise EngineMissing(
        "no llama-server found, and the wheel that contains one is not installed. Run "
        f"`pip install {WHEEL}`, or install llama.cpp (macOS: `brew install llama.cpp`, others: "
        "https://github.com/ggml-org/llama.cpp/releases) and put llama-server on the PATH or in "
        "LLAMA_SERVER, or set BACKEND_URL to a running server."
    )


def free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port on {HOST}")


@dataclass(frozen=True)
class ProcessAddress:
    url: str
    key: str
