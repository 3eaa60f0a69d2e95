"""The payload of an event as a parsed chunk.

Some backends cut an emoji into two halves, each an escaped surrogate in a delta of its own. A half is no letter: it waits
for the other one, and one that stays alone becomes U+FFFD.
"""

import json
from typing import Any

import orjson

from proxy.stream import exact_json


class Chunks:
    def __init__(self) -> None:
        self._halves: dict[tuple[object, str], str] = {}

    def parse(self, payload: bytes) -> dict[str, Any] | None:
        """None for what is no chunk: blank data, pings, broken JSON."""
        try:
            chunk = exact_json.loads(payload)
        except orjson.JSONDecodeError:
            chunk = self._with_halves(payload)
        return chunk if isinstance(chunk, dict) else None

    def _with_halves(self, payload: bytes) -> Any:
        try:
            chunk = json.loads(payload)
        except (ValueError, RecursionError):
            return None
        return self._join(chunk, ()) if isinstance(chunk, dict) else None

    def _join(self, value: Any, place: tuple[object, ...]) -> Any:
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, dict):
            return {key: self._join(inner, (*place, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._join(inner, (*place, _which(inner, at))) for at, inner in enumerate(value)]
        return value

    def _text(self, text: str, place: tuple[object, ...]) -> str:
        key = (place[:-1], str(place[-1]))
        text = self._halves.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[key] = text[-1]
            text = text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _which(item: Any, at: int) -> object:
    """The same choice or call stands at different places of different chunks: its index tells which it is."""
    return item.get("index", at) if isinstance(item, dict) else at
