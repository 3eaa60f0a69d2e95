"""Scanner that reads the `model` field of a JSON body while the body is still arriving.

Each byte is scanned at most once, and none after the field. A large piece is scanned in slices, so
that other requests are served in between.
"""

import asyncio
import re
from collections.abc import AsyncIterator

import orjson

_LIMIT = 4 * 1024 * 1024  # bytes; the search for `model` stops here
_SLICE = 16 * 1024  # bytes that take a few milliseconds at most
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_TO_TOKEN = re.compile(rb'[^"{}\[\],:]*+')
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]
_DEEPER = {b"{"[0]: 1, b"["[0]: 1, b"}"[0]: -1, b"]"[0]: -1}


class ModelFieldScanner:
    """JSON scanner that finds `"model": "…"` in the outermost object."""

    def __init__(self) -> None:
        self._depth = 0
        self._string: list[bytes] | None = None  # parts of an unfinished string
        self._escape = b""  # a backslash at the end of the last piece
        self._last_tokens: list[bytes] = []  # the last two tokens of the outermost object

    def feed(self, piece: bytes) -> str | None:
        """Scan the next piece of the body, and return the model name once it is complete."""
        text, at = self._escape + piece, 0
        self._escape = b""
        while at < len(text):
            at = (
                self._read_token(text, at)
                if self._string is None
                else self._read_string(self._string, text, at)
            )
            if len(self._last_tokens) == 3:
                return str(orjson.loads(self._last_tokens[2]))
        return None

    def _read_string(self, parts: list[bytes], text: bytes, at: int) -> int:
        # The pattern also matches the empty string.
        end = _IN_STRING.match(text, at).end()  # type: ignore[union-attr]
        if self._depth == 1:
            parts.append(text[at:end])
        if end < len(text) and text[end] == _QUOTE:
            self._string = None
            if self._depth == 1:
                self._push(b'"' + b"".join(parts) + b'"')
        elif end < len(text):
            self._escape = text[end:]
        return end + 1

    def _read_token(self, text: bytes, at: int) -> int:
        to = _TO_TOKEN if self._depth == 1 else _TO_BRACKET
        end = to.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string too
        if end < len(text):
            if text[end] == _QUOTE:
                self._string = []
            else:
                self._depth += _DEEPER.get(text[end], 0)
                self._push(text[end : end + 1])
        return end + 1

    def _push(self, token: bytes) -> None:
        named = self._last_tokens == [b'"model"', b":"] and token.startswith(b'"')
        self._last_tokens = (
            [*self._last_tokens, token] if named else [*self._last_tokens[-1:], token]
        )


async def read_model_field(pieces: AsyncIterator[bytes]) -> tuple[str | None, AsyncIterator[bytes]]:
    """Return the model name (None if not found), and an iterator over the whole body."""
    scan, read, size = ModelFieldScanner(), list[bytes](), 0
    name: str | None = None
    async for piece in pieces:
        read.append(piece)
        size += len(piece)
        try:
            name = await _scan_piece(scan, piece)
        except ValueError:
            break  # not JSON: the backend will report it
        if name is not None or size > _LIMIT:
            break

    async def again() -> AsyncIterator[bytes]:
        for piece in read:
            yield piece
        async for piece in pieces:
            yield piece

    return name, again()


async def _scan_piece(scan: ModelFieldScanner, piece: bytes) -> str | None:
    for at in range(0, len(piece), _SLICE):
        if (name := scan.feed(piece[at : at + _SLICE])) is not None:
            return name
        await asyncio.sleep(0)
    return None
