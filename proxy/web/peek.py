"""The model that a body names, found while the body is still arriving: no more of it is read than that takes."""

import re
from collections.abc import AsyncIterator

import orjson

_LIMIT = 4 * 1024 * 1024  # who names no model within this much has none
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)


class Scan:
    """A reader of JSON that knows only depth: it looks for `"model": "…"` in the outermost object."""

    def __init__(self) -> None:
        self._text = b""
        self._at = self._depth = 0
        self._before: list[bytes] = []  # the last two tokens

    def feed(self, piece: bytes) -> str | None:
        """The name, once it has come."""
        self._text += piece
        while (found := _TOKEN.match(self._text, _blanks(self._text, self._at))) is not None:
            token = found[0]
            if found.end() == len(self._text) and token not in b"{}[],:":
                return None  # it may go on in the next piece
            self._at = found.end()
            if self._depth == 1 and self._before == [b'"model"', b":"] and token.startswith(b'"'):
                return str(orjson.loads(token))
            self._depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token, 0)
            self._before = [*self._before[-1:], token]
        return None


def _blanks(text: bytes, at: int) -> int:
    while at < len(text) and text[at : at + 1].isspace():
        at += 1
    return at


async def model_in(pieces: AsyncIterator[bytes]) -> tuple[str | None, AsyncIterator[bytes]]:
    """The name, and the whole body once more."""
    scan, read, size = Scan(), list[bytes](), 0
    name: str | None = None
    async for piece in pieces:
        read.append(piece)
        size += len(piece)
        try:
            name = scan.feed(piece)
        except ValueError:
            break  # no JSON: the backend will say so
        if name is not None or size > _LIMIT:
            break

    async def again() -> AsyncIterator[bytes]:
        for piece in read:
            yield piece
        async for piece in pieces:
            yield piece

    return name, again()
