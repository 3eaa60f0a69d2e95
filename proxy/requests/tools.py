"""The tools that a client declares, and which of them a backend means that writes their names its own way."""

import re
from typing import Any


def declared_name(said: str, tools: tuple[Any, ...]) -> str:
    """LM Studio writes `my_server_do_thing` for `my-server_doThing`: the client knows only its own name."""
    names = [function["name"] for tool in tools if isinstance(function := _function(tool), dict) and isinstance(function.get("name"), str)]
    if said in names:
        return said
    meant = [name for name in names if _snake_case(name) == _snake_case(said)]
    return meant[0] if len(meant) == 1 else said


def parameters(name: str, tools: tuple[Any, ...]) -> Any:
    """Return the schema of the arguments of the tool that a backend means with `name`; None where there is none."""
    declared = declared_name(name, tools)
    functions = [function for tool in tools if isinstance(function := _function(tool), dict)]
    return next((function.get("parameters") for function in functions if function.get("name") == declared), None)


def _function(tool: Any) -> Any:
    return tool.get("function") if isinstance(tool, dict) else None


def _snake_case(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
