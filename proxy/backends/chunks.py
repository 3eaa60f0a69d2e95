"""Parser for the chunks of a streamed answer, which repairs damaged strings.

Bare control characters are kept, and invalid UTF-8 becomes U+FFFD. Some backends split an emoji
into two escaped surrogates in separate chunks: the first half is held until the second arrives,
and a half without a counterpart becomes U+FFFD.
"""

import json
from typing import Any

import orjson

from proxy import exact_json

MAX_DEPTH = 100
"""Deepest nesting of a chunk that is accepted.

Real servers stay far below. Deeper chunks could be neither traversed nor serialized.
"""

_PADDING = bytes(range(33)) + b"\x7f\xef\xbb\xbf"  # whitespace, control characters, byte order mark


class InvalidChunk(ValueError):
    """Payload that starts like a JSON object but is damaged, so part of the answer is lost."""


class ChunkParser:
    def __init__(self) -> None:
        self._half_surrogates: dict[tuple[object, str], str] = {}

    def parse(self, payload: bytes) -> dict[str, Any] | None:
        """Return the chunk in `payload`, or None if it is not a chunk but, for example, a ping.

        Raises InvalidChunk if the chunk is damaged.
        """
        try:
            chunk = exact_json.loads(payload)
            is_clean = True
        except orjson.JSONDecodeError:
            chunk = _repaired(payload)
            is_clean = False
        if not isinstance(chunk, dict):
            return None
        if (
            len(payload) > 2 * MAX_DEPTH
            and payload.count(b"{") + payload.count(b"[") > MAX_DEPTH
            and _is_too_deep(chunk)
        ):
            raise InvalidChunk(f"a chunk nested more than {MAX_DEPTH} levels deep")
        return chunk if is_clean else self._join_object(chunk, ())

    def _join_object(self, chunk: dict[str, Any], provider: tuple[object, ...]) -> dict[str, Any]:
        return {key: self._join(inner, (*provider, key)) for key, inner in chunk.items()}

    def _join(self, value: Any, provider: tuple[object, ...]) -> Any:
        if isinstance(value, str):
            return self._text(value, provider)
        if isinstance(value, dict):
            return self._join_object(value, provider)
        if isinstance(value, list):
            return [
                self._join(inner, (*provider, _position_key(inner, at)))
                for at, inner in enumerate(value)
            ]
        return value

    def _text(self, text: str, provider: tuple[object, ...]) -> str:
        key = (provider[:-1], str(provider[-1]))
        text = self._half_surrogates.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._half_surrogates[key] = text[-1]
            text = text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _repaired(payload: bytes) -> Any:
    """Parse a payload that is not strict JSON; return None if it does not start with a brace."""
    payload = payload.strip(_PADDING)
    if not payload.startswith(b"{"):
        return None
    try:
        return json.loads(_decoded(payload), strict=False)
    except (ValueError, RecursionError):
        raise InvalidChunk("a chunk that is not valid JSON") from None


def _decoded(payload: bytes) -> str:
    try:
        return payload.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return payload.decode("utf-8", "replace")


def _is_too_deep(chunk: dict[str, Any]) -> bool:
    level: list[Any] = [chunk]
    for _ in range(MAX_DEPTH):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def _position_key(item: Any, at: int) -> object:
    """Return what identifies an item of a list: its `index` field, else its position `at`.

    The same choice or call can be at different positions in different chunks.
    """
    index = item.get("index", at) if isinstance(item, dict) else at
    return index if isinstance(index, int | str) else at
