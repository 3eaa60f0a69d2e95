"""The declared tools, looked up by name, also in the spelling of a backend."""

import re
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from typing import Any

_LIMIT = 5_000  # tools beyond this number are ignored


def tool_name(tool: Any) -> Any:
    """Return the name of a declared or chosen tool, of any type."""
    inner = _function(tool)
    return inner.get("name") if isinstance(inner, dict) else None


def declared_names(tools: Iterable[Any]) -> list[str]:
    return [name for name in map(tool_name, tools) if isinstance(name, str)]


class DeclaredNames:
    """Looks up declared tools by name.

    Other spellings are computed once, when the first undeclared name arrives.
    """

    def __init__(self, tools: tuple[Any, ...]) -> None:
        self._tools = tools

    def resolve(self, name: str) -> str:
        """Return the declared name; LM Studio writes `my_server_do_thing` for
        `my-server_doThing`.
        """
        if name in self._declared:
            return name
        alike = self._alike.get(_snake_case(name), [])
        return alike[0] if len(alike) == 1 else name

    def parameters(self, name: str) -> Any:
        """Return the argument schema of the tool that `name` means, or None."""
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
