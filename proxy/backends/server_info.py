"""What a server tells of itself, and what its list of models shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What a backend tells of itself."""

    model: str | None = None
    context: int | None = None
    template_has_tools: bool | None = None
    advice: str | None = None  # what a person should do before it serves well
    inputs: tuple[str, ...] | None = None  # what the model takes: text, image, audio


@dataclass(frozen=True, slots=True)
class ModelsResponse:
    """What a server's answer to GET /models shows of it."""

    headers: Mapping[str, str]
    items: list[dict[str, Any]]

    def owned_by(self, *names: str) -> bool:
        return any(item.get("owned_by") in names for item in self.items)

    def has_key(self, key: str) -> bool:
        return any(key in item for item in self.items)
