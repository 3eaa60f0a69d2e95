"""The command in a pipe, as a shell runs it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.documents import DOCS


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """As `| head` has."""
    reader, writer = os.pipe()
    os.close(reader)
    read = subprocess.run(
        [sys.executable, "-P", "-m", "proxy", "dialects"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(writer)
    assert (read.returncode, read.stderr) == (1, b"")


def test_the_shell_lines_in_the_documentation_work(tmp_path: Path) -> None:
    page = (DOCS / "dialects.md").read_text()
    lines = "\n".join(line.strip() for line in page.splitlines() if line.startswith("    echo "))
    program = f"{shlex.quote(sys.executable)} -P -m proxy"
    shell = ["/bin/sh", "-ec", lines.replace(".venv/bin/llama-bridge", program)]
    said = json.loads(subprocess.run(shell, capture_output=True, check=True, cwd=tmp_path).stdout)
    assert [call["function"] for call in said["tool_calls"]] == [
        {"name": "bash", "arguments": '{"command":"ls"}'}
    ]
