"""The tools that a client declares, and which of them a backend means that writes their names its own way."""

import re
from collections.abc import Iterable
from typing import Any


def name_of(tool: Any) -> Any:
    """Return what stands as the name of a declared or named tool, whatever it is."""
    if not isinstance(tool, dict):
        return None
    inner = tool.get("custom") if tool.get("type") == "custom" else tool.get("function")
    return (inner if isinstance(inner, dict) else tool).get("name")


def declared_names(tools: Iterable[Any]) -> list[str]:
    return [name for name in map(name_of, tools) if isinstance(name, str)]


def declared_name(said: str, tools: tuple[Any, ...]) -> str:
    """LM Studio writes `my_server_do_thing` for `my-server_doThing`: the client knows only its own name."""
    names = declared_names(tools)
    if said in names:
        return said
    meant = [name for name in names if _snake_case(name) == _snake_case(said)]
    return meant[0] if len(meant) == 1 else said


def _snake_case(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
