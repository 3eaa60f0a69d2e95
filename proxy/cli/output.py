"""What every command prints with: text made safe for a terminal, and errors that end the
command.
"""

import sys
from typing import NoReturn, TextIO

from proxy.printable import printable_lines


def describe_error(error: ValueError | OSError) -> str:
    """Which file, and why; not the number that the system has for it."""
    return (
        f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError) and error.filename
        else str(error)
    )


def print_safe(text: str, stream: TextIO | None = None) -> None:
    """Print what may hold names of files, or words of a model or a server: a terminal shows it,
    and obeys nothing in it.
    """
    print(printable_lines(text), file=stream, flush=True)


def fail(reason: str) -> NoReturn:
    print_safe(f"llama-bridge: {reason}", sys.stderr)
    sys.exit(2)
