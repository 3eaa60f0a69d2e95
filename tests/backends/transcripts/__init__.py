"""What each kind of server sends, byte for byte, and what a client must get for it: one table per
kind, in a text file.

    === name {"fields": "of the question, where they matter"}
    200 text/event-stream; retry-after: 60
    the body, as it stands
    --- end                                (or `reset`: the connection is lost there)
    {"text": "...", "finish": "stop"}

A body ends before the line break that precedes `---`. Lines end as they do in the file, which is
read without translation.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.backend import Piece, stream

HERE = Path(__file__).parent
KINDS = sorted(path.stem for path in HERE.glob("*.txt"))
_ENTRY = re.compile(
    r"^=== ([^{\n]*?)( \{[^\n]*)?\n(\d+) ([^\n]*)\n(.*?)\n--- (end|reset)\n(.*?)\n$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Entry:
    kind: str
    name: str
    asked: dict[str, Any]
    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_cut: bool
    means: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    @property
    def lists_models(self) -> bool:
        return self.name.startswith(("models", "no models"))

    @property
    def streams(self) -> bool:
        return self.headers["content-type"] == "text/event-stream"

    def answer(self, *pieces: bytes) -> httpx.Response:
        sent: list[Piece] = [
            *(pieces or (self.body,)),
            *([httpx.ReadError("reset")] if self.is_cut else []),
        ]
        response = stream(*sent, status=self.status)
        response.headers = httpx.Headers(self.headers)
        return response


def entries(kind: str) -> list[Entry]:
    with (HERE / f"{kind}.txt").open(encoding="utf-8", newline="") as file:
        text = file.read()
    return list(_read(kind, text))


def _read(kind: str, text: str) -> Iterator[Entry]:
    found = list(_ENTRY.finditer(text))
    assert len(found) == text.count("\n=== "), f"{kind}.txt: {len(found)} entries could be read"
    for entry in found:
        name, asked, status, head, body, end, means = entry.groups()
        content_type, *more = re.split(r"; (?=retry)", head)
        headers = {"content-type": content_type} | dict(line.split(": ") for line in more)
        yield Entry(
            kind,
            name,
            json.loads(asked or "{}"),
            int(status),
            headers,
            body.encode(),
            end == "reset",
            json.loads(means),
        )


TABLE = [entry for kind in KINDS for entry in entries(kind)]
ANSWERS = [entry for entry in TABLE if not entry.lists_models]
