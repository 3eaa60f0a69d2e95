"""The wheel's server as the product starts it, with a few flags more. Run as a program, by the script that LLAMA_SERVER names."""

import shlex
import sys
from pathlib import Path
from typing import Any

from xllamacpp.xllamacpp import CommonGrammar, common_grammar_type

from proxy.llama_server import engine


def _template(parameters: Any, path: str) -> None:
    parameters.chat_template = Path(path).read_text(encoding="utf-8")


def _grammar(parameters: Any, path: str) -> None:
    """The model writes what stands there and nothing else, and what it writes arrives as text, thoughts and calls included."""
    text = Path(path).read_text(encoding="utf-8")
    parameters.sampling.grammar = CommonGrammar(common_grammar_type.COMMON_GRAMMAR_TYPE_USER, text)
    parameters.force_pure_content_parser = True


def _slots(parameters: Any, number: str) -> None:
    parameters.n_parallel = int(number)


FLAGS = {"--chat-template-file": _template, "--grammar-file": _grammar, "-np": _slots}


def script(path: Path, *flags: str) -> Path:
    """A llama-server as LLAMA_SERVER may name it: whatever flags it is started with, these are added."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-P", __file__])} "$@" {shlex.join(flags)}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    engine.OPTIONS.update(FLAGS)
    engine.main(sys.argv[1:])
