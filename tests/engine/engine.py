"""The wheel's server as the product starts it, with a few flags more.

Run as a program, by the script that LLAMA_SERVER names.
"""

import shlex
import sys
from pathlib import Path
from typing import Any

from xllamacpp.xllamacpp import CommonGrammar, common_grammar_type

from proxy.llama_server import wheel_server
from proxy.llama_server.wheel_attributes import Attribute
from proxy.llama_server.wheel_options import OPTIONS


class _Grammar(Attribute):
    """The model writes what stands there and nothing else, and what it writes arrives as text,
    thoughts and calls included.
    """

    def put(self, parameters: Any, value: object) -> None:
        parameters.sampling.grammar = value
        parameters.force_pure_content_parser = True


def _grammar(path: str) -> CommonGrammar:
    return CommonGrammar(
        common_grammar_type.COMMON_GRAMMAR_TYPE_USER, Path(path).read_text(encoding="utf-8")
    )


def script(path: Path, *flags: str) -> Path:
    """A llama-server as LLAMA_SERVER may name it: whatever flags it is started with, these are
    added.
    """
    path.write_text(
        (
            f"#!/bin/sh\n"
            f'exec {shlex.join([sys.executable, "-P", __file__])} "$@" {shlex.join(flags)}\n'
        ),
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    OPTIONS["--grammar-file"] = _Grammar("sampling.grammar", _grammar, "FILE")
    wheel_server.main(sys.argv[1:])
