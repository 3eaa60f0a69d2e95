"""Terminal output shared by all commands: safe printing, and errors that end the command."""

import sys
from typing import NoReturn, TextIO

from proxy.printable import printable_lines


def describe_error(error: ValueError | OSError) -> str:
    """Return the file and the reason of `error`, without its errno."""
    return (
        f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError) and error.filename
        else str(error)
    )


def print_safe(text: str, stream: TextIO | None = None) -> None:
    """Print `text` with control characters escaped.

    It may contain file names or the output of a model, which must not control the terminal.
    """
    print(printable_lines(text), file=stream, flush=True)


def fail(reason: str) -> NoReturn:
    """Print `reason` to standard error and exit with status 2."""
    print_safe(f"llama-bridge: {reason}", sys.stderr)
    sys.exit(2)
