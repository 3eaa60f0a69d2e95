"""The command `llama-bridge`: serve (what it does when nothing is said), doctor, models, reload, \
logs, parse, dialects, key."""

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
    parser = argparse.ArgumentParser(prog="llama-bridge", description=__doc__)
    parser.add_argument("--version", action="version", version=f"llama-bridge {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_flags(
        commands.add_parser("serve", help="listen, and stand before the backend (the default)")
    )
    parse = commands.add_parser(
        "parse", help="read what a model wrote from standard input, print the message it means"
    )
    parse.add_argument("--dialect", default="auto", help="how it writes calls; default: found out")
    parse.add_argument(
        "--tools",
        metavar="FILE",
        help="the `tools` of the request, as JSON; without them no call is looked for",
    )
    parse.add_argument("--thinking", default="tags", choices=("tags", "forced", "off"))
    parse.set_defaults(run=parse_command.run)
    commands.add_parser(
        "doctor",
        help="look at what is set up here and what runs; say what is wrong, and what cures it",
    ).set_defaults(run=doctor.run)
    table = commands.add_parser(
        "models", help="show the models in a folder: what each GGUF file tells of itself"
    )
    table.add_argument("folder", metavar="DIR", nargs="?", default=".")
    table.set_defaults(run=models.run)
    commands.add_parser(
        "reload", help="let the llama-bridge that runs read llama-server.conf anew"
    ).set_defaults(run=reload.run)
    log = commands.add_parser(
        "logs", help="show what the llama-servers of the llama-bridge that runs have written"
    )
    log.add_argument("model", metavar="MODEL", nargs="?", default="")
    log.add_argument(
        "-f", "--follow", action="store_true", help="and each further line as it comes"
    )
    log.set_defaults(run=logs.run)
    listed = commands.add_parser(
        "dialects", help="how models write calls: a sample of each, and what speaks for it"
    )
    listed.set_defaults(run=dialects.run)
    keys = commands.add_parser("key", help="show the key that clients from other machines need")
    keys.add_argument(
        "--new", action="store_true", help="make a new one; the old one opens nothing any more"
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
            f"{arguments.command} does not know {' '.join(unknown)}: "
            f"`llama-bridge {arguments.command} --help` shows what it knows"
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
    except BrokenPipeError:  # as `| head` ends, when it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
