"""The `model` field of an arriving body: found at every cut, and the body is kept whole."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from proxy.web.body_model import ModelFieldScanner, read_model_field

BODY = json.dumps(
    {
        "prompt": ['a "model": "wrong"', {"model": "inner"}, 1.5, None],
        "x": {"model": "inner"},
        "model": 'the "one" é\n',
        "z": 1,
    }
)
NAME = 'the "one" é\n'


class Upload:
    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        while self.left:
            yield self.left.pop(0)


@pytest.mark.parametrize("ascii", [True, False])
async def test_found_at_every_cut(ascii: bool) -> None:
    raw = json.dumps(json.loads(BODY), ensure_ascii=ascii).encode()
    for cut in range(len(raw) + 1):
        name, again = await read_model_field(Upload(raw[:cut], raw[cut:]).pieces())
        assert name == NAME
        assert b"".join([piece async for piece in again]) == raw
    name, again = await read_model_field(
        Upload(*(raw[at : at + 1] for at in range(len(raw)))).pieces()
    )
    assert name == NAME
    assert b"".join([piece async for piece in again]) == raw


async def test_no_more_is_read_than_it_takes() -> None:
    upload = Upload(b'{"model": "m", ', b'"input": "', b"x" * 100, b'"}')
    name, again = await read_model_field(upload.pieces())
    assert (name, len(upload.left)) == ("m", 3)
    assert (
        b"".join([piece async for piece in again])
        == b'{"model": "m", "input": "' + b"x" * 100 + b'"}'
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'"model"',
        b'{"model": 5}',
        b'{"model": null, "x": {"model": "m"}}',
        b'{"a": "model", "b": "m"}',
        b"\xff{",
        b'{"model": "\\x"}',
    ],
)
async def test_a_body_that_names_none(raw: bytes) -> None:
    name, again = await read_model_field(Upload(raw).pieces())
    assert name is None
    assert b"".join([piece async for piece in again]) == raw


async def test_a_large_body_is_not_searched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.web.body_model._LIMIT", 10)
    upload = Upload(b'{"a": "long enough", ', b'"model": "m"}')
    name, again = await read_model_field(upload.pieces())
    assert (name, len(upload.left)) == (None, 1)
    assert b"".join([piece async for piece in again]).endswith(b'"model": "m"}')


def test_a_name_is_only_what_is_whole() -> None:
    scan = ModelFieldScanner()
    assert scan.feed(b'{"model": "a') is None
    assert scan.feed(b'b"') == "ab"


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b'{"p": "', b"x"),
        (b'{"p": "', b'\\"'),
        (b'{"p": [', b"1,"),
        (b'{"p": [', b'"a",'),
        (b'{"p": [', b"[],"),
        (b'{"p": ', b"["),
        (b"{", b'"a":1,'),
        (b"{", b" "),
    ],
)
async def test_a_large_body_is_read_once_and_in_slices(
    start: bytes, unit: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte is scanned once, in small slices, and other tasks run between the slices."""
    fed: list[int] = []
    feed = ModelFieldScanner.feed

    def counted(scan: ModelFieldScanner, piece: bytes) -> str | None:
        fed.append(len(piece))
        return feed(scan, piece)

    monkeypatch.setattr(ModelFieldScanner, "feed", counted)
    turns: list[int] = []

    async def others() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    body = start + unit * (300_000 // len(unit))
    waiting = asyncio.create_task(others())
    name, again = await read_model_field(Upload(body).pieces())
    waiting.cancel()
    assert name is None
    assert b"".join([piece async for piece in again]) == body
    assert sum(fed) == len(body)
    assert max(fed) <= 16 * 1024
    assert len(turns) >= len(fed)


async def test_what_is_kept_of_a_large_body_is_the_body_alone() -> None:
    scan = ModelFieldScanner()
    for _ in range(1_000):
        assert scan.feed(b'{"a": ["' + b"x" * 1_000 + b'"], "b": {"c": "d"}, ') is None
    assert len(repr(vars(scan))) < 1_000
