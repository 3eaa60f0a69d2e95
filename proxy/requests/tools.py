"""The tools that a client declares, and which of them a backend means that writes their names its own way."""

import re
from functools import cached_property
from itertools import islice
from typing import Any

_LIMIT = 5_000  # tools


class DeclaredNames:
    """Which declared tool a name means. The other spellings are worked out once, when the first name comes that is not declared."""

    def __init__(self, tools: tuple[Any, ...]) -> None:
        self._tools = tools

    def meant(self, said: str) -> str:
        """LM Studio writes `my_server_do_thing` for `my-server_doThing`: the client knows only its own name."""
        if said in self._declared:
            return said
        alike = self._alike.get(_snake_case(said), [])
        return alike[0] if len(alike) == 1 else said

    @cached_property
    def _declared(self) -> dict[str, None]:
        functions = (_function(tool) for tool in islice(self._tools, _LIMIT))
        names = (function.get("name") for function in functions if isinstance(function, dict))
        return dict.fromkeys(name for name in names if isinstance(name, str))

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._declared:
            found.setdefault(_snake_case(name), []).append(name)
        return found


def _function(tool: Any) -> Any:
    return tool.get("function") if isinstance(tool, dict) else None


def _snake_case(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
