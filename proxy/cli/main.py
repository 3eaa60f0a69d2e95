"""Entry point of the command `llama-bridge`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from proxy import __version__
from proxy.cli import dialects, doctor, key, logs, models, pid1, reload, serve
from proxy.cli import parse as parse_command
from proxy.cli.output import fail
from proxy.settings import SettingsError, add_flags, load


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llama-bridge",
        description="Proxy for llama-server and other LLM backends that makes tool calls work.",
    )
    parser.add_argument("--version", action="version", version=f"llama-bridge {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")

    def add(
        name: str, summary: str, run: Callable[[argparse.Namespace], int] | None = None
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        command.set_defaults(run=run)
        return command

    start = add("serve", "start the proxy (default)")
    start.usage = "llama-bridge serve [OPTIONS]"
    add_flags(start)
    add("doctor", "check the setup and the running server, and suggest fixes", doctor.run)
    add("reload", "reread llama-server.conf in the running llama-bridge", reload.run)
    log = add("logs", "print the output of the running llama-servers", logs.run)
    log.add_argument("model", metavar="MODEL", nargs="?", default="", help="default: all models")
    log.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    keys = add("key", "print the API key for clients on other machines", key.run)
    keys.add_argument(
        "--new",
        action="store_true",
        help="create a new key; the old key stops working immediately",
    )
    table = add("models", "list the models in a folder", models.run)
    table.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        default=".",
        help="folder with GGUF files; default: the current one",
    )
    add("dialects", "list the tool-call dialects with a sample of each", dialects.run)
    parse = add(
        "parse", "convert raw model output on standard input into a message", parse_command.run
    )
    parse.add_argument("--dialect", default="auto", help="dialect of the output; default: auto")
    parse.add_argument(
        "--tools",
        metavar="FILE",
        help="JSON file with the `tools` of the request; without it, calls stay text",
    )
    parse.add_argument(
        "--thinking",
        default="tags",
        choices=("tags", "forced", "off"),
        help="how reasoning is marked; default: tags",
    )
    return parser


def main(words: Sequence[str] | None = None) -> NoReturn:
    words = list(sys.argv[1:] if words is None else words)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    arguments, unknown = _parser().parse_known_args(words)
    if unknown:
        fail(
            f"unrecognized argument{'s' * (len(unknown) > 1)}: {' '.join(unknown)} "
            f"(see `llama-bridge {arguments.command} --help`)"
        )
    if arguments.command != "serve":
        sys.exit(_run_command(arguments))
    if os.getpid() == 1:
        pid1.fork_child()
    try:
        settings = load(os.environ, vars(arguments))
    except SettingsError as error:
        fail(str(error))
    sys.exit(serve.serve(settings))


def _run_command(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
