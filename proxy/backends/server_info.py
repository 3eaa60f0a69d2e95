"""Data classes for the facts that a server reports about itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Facts about a backend and its model, each None if unknown."""

    model: str | None = None
    context: int | None = None
    template_has_tools: bool | None = None
    advice: str | None = None  # what the user should configure
    inputs: tuple[str, ...] | None = None  # input modalities: text, image, audio


@dataclass(frozen=True, slots=True)
class ModelsResponse:
    """Response to `GET /models`, from which the kind of server is detected."""

    headers: Mapping[str, str]
    items: list[dict[str, Any]]

    def owned_by(self, *names: str) -> bool:
        return any(item.get("owned_by") in names for item in self.items)

    def has_key(self, key: str) -> bool:
        return any(key in item for item in self.items)
