"""The real OpenCode: `npm install` of one pinned version into the ignored `build/`, once;
afterwards nothing is fetched.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "1.18.33"
BUILD = Path(__file__).resolve().parents[2] / "build"
INSTALLED = BUILD / f"opencode-{VERSION}"
NPM_SECONDS = 300

# What npm reports for the archives it unpacked. The platform packages without a line here are
# pinned by their version only.
HASHES = {
    "node_modules/opencode-ai": (
        "sha512-58P1ffLRXiAY4QeoABqUjqf6DEzm1ihpovvn9Ad+oOLbLiwK"
        "/rf88wruT9IATJ7AtNjmi8iA7pC8tN4o5y799Q=="
    ),
    "node_modules/opencode-linux-x64": (
        "sha512-q/t/3p2CTxOT9y2kvjesb/LZab2+"
        "1eqlhhWA02Be6mjTtmYtNBcBsrI5yDo4Fw7ZSPBW2oyMIGMNRqiKQjiAWw=="
    ),
}


def opencode() -> Path:
    """The native program.

    The package's launcher in JavaScript only looks for it, and Node's start would be paid for each
    run.
    """
    if not INSTALLED.exists():
        install()
    candidates = sorted(
        INSTALLED.glob("node_modules/opencode-*/bin/opencode"), key=lambda path: len(str(path))
    )
    # The shortest name first: `-baseline` and `-musl` are for older processors and other C
    # libraries.
    for candidate in candidates:
        if answers(candidate):
            return candidate
    raise AssertionError(
        f"no opencode {VERSION} for this machine among {candidates}; "
        f"delete {INSTALLED} to install again"
    )


def install() -> None:
    npm = shutil.which("npm")
    assert npm, (
        "npm is needed once, to install the real OpenCode (Debian/Ubuntu: apt install npm; "
        "macOS: brew install node)"
    )
    BUILD.mkdir(exist_ok=True)
    # Moved when whole: an install that broke off is never taken for one.
    with tempfile.TemporaryDirectory(dir=BUILD) as fresh:
        whole = Path(fresh, "whole")
        whole.mkdir()
        command = [
            npm,
            "install",
            "--prefix",
            str(whole),
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            f"opencode-ai@{VERSION}",
        ]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
        )
        assert ran.returncode == 0, (
            f"{command} ended with {ran.returncode}\n{ran.stdout}{ran.stderr}"
        )
        compare_hashes(whole)
        whole.rename(INSTALLED)


def compare_hashes(directory: Path) -> None:
    lock = json.loads(
        (directory / "node_modules" / ".package-lock.json").read_text(encoding="utf-8")
    )
    for package, entry in lock["packages"].items():
        assert entry["integrity"] == HASHES.get(package, entry["integrity"]), (
            f"{package} is not the archive that was pinned"
        )


def answers(program: Path) -> bool:
    try:
        ran = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return False
    return ran.stdout.strip() == VERSION
