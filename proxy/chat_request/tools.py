"""The tools that a client declares, and which of them a backend means that writes their names
its own way.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from typing import Any

_LIMIT = 5_000  # tools


def tool_name(tool: Any) -> Any:
    """Return what stands as the name of a declared or named tool, whatever it is."""
    inner = _function(tool)
    return inner.get("name") if isinstance(inner, dict) else None


def declared_names(tools: Iterable[Any]) -> list[str]:
    return [name for name in map(tool_name, tools) if isinstance(name, str)]


class DeclaredNames:
    """Which declared tool a name means.

    The other spellings are worked out once, when the first name comes that is not declared.
    """

    def __init__(self, tools: tuple[Any, ...]) -> None:
        self._tools = tools

    def resolve(self, name: str) -> str:
        """LM Studio writes `my_server_do_thing` for `my-server_doThing`: the client knows only
        its own name.
        """
        if name in self._declared:
            return name
        alike = self._alike.get(_snake_case(name), [])
        return alike[0] if len(alike) == 1 else name

    def parameters(self, name: str) -> Any:
        """Return the schema of the arguments of the tool that `said` means; None where there is
        none.
        """
        function = self._declared.get(self.resolve(name))
        return function.get("parameters") if function is not None else None

    @cached_property
    def _declared(self) -> dict[str, dict[str, Any]]:
        functions = [
            function
            for tool in islice(self._tools, _LIMIT)
            if isinstance(function := _function(tool), dict)
        ]
        return {
            function["name"]: function
            for function in reversed(functions)
            if isinstance(function.get("name"), str)
        }

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._declared:
            found.setdefault(_snake_case(name), []).append(name)
        return found


def _function(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return None
    inner = tool.get("custom") if tool.get("type") == "custom" else tool.get("function")
    return inner if isinstance(inner, dict) else tool


def _snake_case(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
