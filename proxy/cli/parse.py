"""`llama-bridge parse`: convert a model's raw output into a chat message."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import orjson

from proxy import dialects
from proxy.cli.output import describe_error, fail
from proxy.parsing.calls import ToolIndex
from proxy.printable import printable_lines


def run(arguments: argparse.Namespace) -> int:
    try:
        tools = _tools(Path(arguments.tools)) if arguments.tools else []
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
        message = dialects.parse(
            text, tools=tools, dialect=arguments.dialect, thinking=arguments.thinking
        )
    except (ValueError, OSError) as error:
        fail(describe_error(error))
    if not ToolIndex(tools):
        missing = (
            f"{arguments.tools} declares no tools"
            if arguments.tools
            else "no tools are declared (--tools FILE)"
        )
        print(f"llama-bridge: {missing}; calls stay text", file=sys.stderr)
    text = json.dumps(message, ensure_ascii=False, indent=2)
    print(text if text == printable_lines(text) else json.dumps(message, indent=2))
    return 0


def _tools(path: Path) -> list[Any]:
    try:
        tools = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(tools, list):
        raise ValueError(f"{path} does not contain a JSON list of tools")
    return tools
