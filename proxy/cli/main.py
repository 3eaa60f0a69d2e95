"""Entry point of the command `llama-bridge`."""

import argparse
import os
import sys
from collections.abc import Sequence
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
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_flags(commands.add_parser("serve", help="start the proxy (default)"))
    parse = commands.add_parser(
        "parse", help="convert a model's raw output on standard input into a message"
    )
    parse.add_argument("--dialect", default="auto", help="dialect of the output; default: auto")
    parse.add_argument(
        "--tools",
        metavar="FILE",
        help="JSON file with the `tools` of the request; without it, calls stay text",
    )
    parse.add_argument("--thinking", default="tags", choices=("tags", "forced", "off"))
    parse.set_defaults(run=parse_command.run)
    commands.add_parser(
        "doctor",
        help="check the setup and the running server, and suggest fixes",
    ).set_defaults(run=doctor.run)
    table = commands.add_parser(
        "models", help="list the GGUF files in a folder with their metadata"
    )
    table.add_argument("folder", metavar="DIR", nargs="?", default=".")
    table.set_defaults(run=models.run)
    commands.add_parser(
        "reload", help="make the running llama-bridge reread llama-server.conf"
    ).set_defaults(run=reload.run)
    log = commands.add_parser("logs", help="print the output of the running llama-servers")
    log.add_argument("model", metavar="MODEL", nargs="?", default="")
    log.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    log.set_defaults(run=logs.run)
    listed = commands.add_parser(
        "dialects", help="list the tool-call dialects with a sample of each"
    )
    listed.set_defaults(run=dialects.run)
    keys = commands.add_parser("key", help="print the API key for clients on other machines")
    keys.add_argument(
        "--new", action="store_true", help="create a new key; the old key stops working immediately"
    )
    keys.set_defaults(run=key.run)
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
