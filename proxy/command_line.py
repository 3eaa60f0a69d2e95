"""The command `llama-bridge`: serve (what it does when nothing is said), doctor, models, reload, \
logs, parse, dialects, key."""

import argparse
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Any, NoReturn, TextIO

import orjson

from proxy import __version__, dialects, doctor, logbook, model_table, remote
from proxy.app import create_app
from proxy.llama_server import first
from proxy.printable import printable_lines
from proxy.server import Server, allow_many_connections, listen
from proxy.settings import Settings, SettingsError, add_flags, load
from proxy.stream.calls import Tools
from proxy.web import key_file

logger = logging.getLogger("llama-bridge")


def serve(settings: Settings) -> int:
    show = logbook.start(settings)
    allow_many_connections()
    try:
        bridge = create_app(settings)
        for note in bridge.keeper.catalogue.notes if bridge.keeper is not None else ():
            logger.warning("%s", note)
        bridge.house.ledger.show = show
        listener = listen(settings)
    except (ValueError, OSError) as error:
        _stop(_plainly(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What was made so far stays: no collection looks at it again, which takes 20 ms each time.
    gc.freeze()
    # All has ended by then; uvicorn only tells the signal once more.
    with contextlib.suppress(KeyboardInterrupt):
        server = Server(bridge, listener)
        server.run(sockets=[listener])
    return 0


def parse_text(arguments: argparse.Namespace) -> int:
    try:
        tools = _tools(Path(arguments.tools)) if arguments.tools else []
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
        message = dialects.parse(
            text, tools=tools, dialect=arguments.dialect, thinking=arguments.thinking
        )
    except (ValueError, OSError) as error:
        _stop(_plainly(error))
    if not Tools(tools):
        missing = (
            f"{arguments.tools} declares no tools"
            if arguments.tools
            else "no tools are declared (--tools FILE)"
        )
        print(f"llama-bridge: {missing}: calls in the text are left as text", file=sys.stderr)
    text = json.dumps(message, ensure_ascii=False, indent=2)
    print(text if text == printable_lines(text) else json.dumps(message, indent=2))
    return 0


def _tools(path: Path) -> list[Any]:
    try:
        tools = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(tools, list):
        raise ValueError(f"{path} holds no list of tools")
    return tools


def examine(_: argparse.Namespace) -> int:
    try:
        findings = doctor.examine(load(os.environ))
    except ValueError as error:
        _stop(str(error))
    _say(doctor.report(findings))
    return int(any(finding.mark == doctor.WRONG for finding in findings))


def show_models(arguments: argparse.Namespace) -> int:
    try:
        _say(model_table.table(Path(arguments.folder).expanduser()))
    except ValueError as error:
        _stop(str(error))
    return 0


def reload(_: argparse.Namespace) -> int:
    try:
        _say(remote.reload(load(os.environ)))
    except ValueError as error:
        _stop(str(error))
    return 0


def show_logs(arguments: argparse.Namespace) -> int:
    try:
        remote.logs(load(os.environ), arguments.model, _say, follow=arguments.follow)
    except ValueError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def list_dialects(_: argparse.Namespace) -> int:
    for one in dialects.DIALECTS.values():
        print(
            f"\n{one.name}{' (only if named, or with a hint)' if one.hinted else ''}\n\n"
            f"{indent(one.sample, '    ')}\n"
        )
        spoken = {
            "markers": one.openers,
            "or at the beginning": one.starts,
            "headers": one.headers,
            "template": one.marks,
        }
        for what, words in spoken.items():
            if words:
                print(f"  {what}: {'  '.join(map(repr, words))}")
        if one.models:
            print(f"  model: {one.models}")
    return 0


def key(arguments: argparse.Namespace) -> int:
    place = key_file.place()
    try:
        if (
            given := load({"PROXY_API_KEYS": os.environ.get("PROXY_API_KEYS", "")}).keys
        ) is not None:
            return _given(given, change=arguments.new)
        print(key_file.make(place) if arguments.new else key_file.read_or_make(place))
    except ValueError as error:
        _stop(str(error))
    except OSError as error:
        _stop(f"{place}: {error.strerror}")
    return 0


def _given(keys: Sequence[str], *, change: bool) -> int:
    """What the environment says is what opens the door: the file of keys lies unused."""
    if change or not keys:
        _stop(
            f"PROXY_API_KEYS "
            f"{'names the keys: change them there' if keys else 'leaves the door open'}"
        )
    print("\n".join(keys))
    return 0


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
    parse.set_defaults(run=parse_text)
    commands.add_parser(
        "doctor",
        help="look at what is set up here and what runs; say what is wrong, and what cures it",
    ).set_defaults(run=examine)
    table = commands.add_parser(
        "models", help="show the models in a folder: what each GGUF file tells of itself"
    )
    table.add_argument("folder", metavar="DIR", nargs="?", default=".")
    table.set_defaults(run=show_models)
    commands.add_parser(
        "reload", help="let the llama-bridge that runs read llama-server.conf anew"
    ).set_defaults(run=reload)
    log = commands.add_parser(
        "logs", help="show what the llama-servers of the llama-bridge that runs have written"
    )
    log.add_argument("model", metavar="MODEL", nargs="?", default="")
    log.add_argument(
        "-f", "--follow", action="store_true", help="and each further line as it comes"
    )
    log.set_defaults(run=show_logs)
    listed = commands.add_parser(
        "dialects", help="how models write calls: a sample of each, and what speaks for it"
    )
    listed.set_defaults(run=list_dialects)
    keys = commands.add_parser("key", help="show the key that clients from other machines need")
    keys.add_argument(
        "--new", action="store_true", help="make a new one; the old one opens nothing any more"
    )
    keys.set_defaults(run=key)
    return parser


def main(words: Sequence[str] | None = None) -> NoReturn:
    words = list(sys.argv[1:] if words is None else words)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    arguments, unknown = _parser().parse_known_args(words)
    if unknown:
        _stop(
            f"{arguments.command} does not know {' '.join(unknown)}: "
            f"`llama-bridge {arguments.command} --help` shows what it knows"
        )
    if arguments.command != "serve":
        sys.exit(_ran(arguments))
    if os.getpid() == 1:
        first.step_aside()
    try:
        settings = load(os.environ, vars(arguments))
    except SettingsError as error:
        _stop(str(error))
    sys.exit(serve(settings))


def _ran(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # as `| head` ends, when it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _plainly(error: ValueError | OSError) -> str:
    """Which file, and why; not the number that the system has for it."""
    return (
        f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError) and error.filename
        else str(error)
    )


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print what may hold names of files, or words of a model or a server: a terminal shows it,
    and obeys nothing in it.
    """
    print(printable_lines(text), file=stream, flush=True)


def _stop(reason: str) -> NoReturn:
    _say(f"llama-bridge: {reason}", sys.stderr)
    sys.exit(2)
