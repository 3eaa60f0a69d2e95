"""Clients and servers in environments of their own under the ignored `build/`, pinned, installed
once; afterwards nothing is fetched.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

BUILD = Path(__file__).resolve().parents[2] / "build"
MINUTES = 20


def python(name: str, *requirements: str, **environment: str) -> Path:
    """A Python that has these and nothing of ours; the environment is for what must be built."""
    place = BUILD / name
    if not (place / "whole").exists():
        shutil.rmtree(place, ignore_errors=True)  # an install that broke off
        run([sys.executable, "-m", "venv", str(place)])
        run(
            [
                str(place / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *requirements,
            ],
            environment,
        )
        (place / "whole").touch()
    return place / "bin" / "python"


def node(name: str, *packages: str) -> tuple[Path, Path]:
    """Node, and a folder that has these packages."""
    program, npm, place = shutil.which("node"), shutil.which("npm"), BUILD / name
    assert program, (
        "node is needed (Debian/Ubuntu: apt install nodejs npm; macOS: brew install node)"
    )
    if not place.exists():
        assert npm, (
            "npm is needed once, to install the client (Debian/Ubuntu: apt install npm; macOS: "
            "brew install node)"
        )
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as fresh:  # moved when whole
            whole = Path(fresh, "whole")
            whole.mkdir()
            run(
                [
                    npm,
                    "install",
                    "--prefix",
                    str(whole),
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    *packages,
                ]
            )
            whole.rename(place)
    return Path(program), place


def run(command: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> None:
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        env={**os.environ, **environment},
        check=False,
    )
    assert ran.returncode == 0, (
        f"{' '.join(command)} ended with {ran.returncode}\n"
        f"{ran.stdout[-3_000:]}{ran.stderr[-6_000:]}"
    )
