"""Parses `tool_choice`: whether a call is required, and of which tools."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from proxy.chat_request.tools import declared_names
from proxy.errors import BadRequest

ToolChoiceMode: TypeAlias = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    mode: ToolChoiceMode = "auto"
    names: frozenset[str] | None = None  # tools that may be called; None: any

    def permits(self, name: str) -> bool:
        return self.mode != "none" and (self.names is None or name in self.names)

    def unmet_reason(self, refused: list[str]) -> str | None:
        """Return why an answer without a call does not satisfy the choice, or None.

        `refused` are the tools that were called instead. A choice without names accepts text,
        because clients that send `required` cope with servers that ignore it.
        """
        if self.mode != "required" or self.names is None:
            return None
        instead = (
            f"called {', '.join(map(repr, refused))} instead" if refused else "answered without it"
        )
        wanted = " or ".join(map(repr, sorted(self.names)))
        return (
            f"`tool_choice` requires a call of {wanted}, but the model {instead}; "
            f"the backend does not enforce it"
        )


def parse(body: dict[str, Any]) -> ToolChoice:
    """Return the choice in a request body.

    Raises BadRequest if it names a tool that the request does not declare.
    """
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return ToolChoice(mode=choice) if choice in ("none", "required") else ToolChoice()
    mode, names = _named(choice)
    declared = declared_names(body.get("tools") or ())
    if unknown := [name for name in names if name not in declared]:
        raise BadRequest(
            f"`tool_choice` names {', '.join(map(repr, unknown))}, which `tools` does not declare",
            param="tool_choice",
        )
    return ToolChoice(mode, frozenset(names)) if names else ToolChoice()


def _named(choice: dict[str, Any]) -> tuple[ToolChoiceMode, list[str]]:
    """Return the mode and the names: one tool that must be called, or several that may be."""
    allowed = choice.get("allowed_tools")
    if not isinstance(allowed, dict):
        return "required", declared_names([choice])
    tools = allowed.get("tools")
    return "required" if allowed.get("mode") == "required" else "auto", declared_names(
        tools if isinstance(tools, list) else []
    )
