"""Payloads as chunks: what is none is dropped, what is damaged is repaired or refused, halves of
letters are joined.
"""

import json
from typing import Any

import pytest

from proxy import exact_json
from proxy.backends.chunks import MAX_DEPTH, ChunkParser, InvalidChunk


def _content(*texts: str, index: int = 0) -> list[bytes]:
    return [
        json.dumps({"choices": [{"index": index, "delta": {"content": text}}]}).encode()
        for text in texts
    ]


def _text(chunk: dict[str, Any] | None) -> str:
    assert chunk is not None
    return str(chunk["choices"][0]["delta"]["content"])


@pytest.mark.parametrize(
    "payload", [b"", b"ping", b"[PING]", b"[1]", b'"text"', b"null", b"[" * 5000, b"\xff"]
)
def test_what_is_no_chunk(payload: bytes) -> None:
    assert ChunkParser().parse(payload) is None


def test_a_chunk() -> None:
    assert ChunkParser().parse(b'{"choices":[]}') == {"choices": []}


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"{broken",
        b' {"choices":[',
        b'\xef\xbb\xbf{"choices":[{"delta":{"content":"a',
        b'{"choices":[]}}',
        b'{"choices":[]} {"choices":[]}',
        b'{"choices":[\xff]}',
        b'{"choices":[\x00]}',
        b'{"n":' + b"1" * 5000 + b"}",
        b'{"a":' * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b'{"a":"\\ud83d","b":' + b"[" * 900 + b"]" * 900 + b"}",
    ],
    ids=range(13),
)
def test_a_damaged_chunk_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidChunk):
        ChunkParser().parse(payload)


def test_every_beginning_of_a_chunk_is_refused() -> None:
    payload = _content('a"\n\\é😀')[0]
    for at in range(1, len(payload)):
        with pytest.raises(InvalidChunk):
            ChunkParser().parse(payload[:at])


@pytest.mark.parametrize(
    ("inside", "meant"),
    [
        (b"a\nb", "a\nb"),
        (b"a\tb\x00c\x1fd", "a\tb\x00c\x1fd"),
        (b"a\xffb", "a\ufffdb"),
        (b"caf\xc3", "caf\ufffd"),
        (b"\xf0\x9f\x98", "\ufffd"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "😀"),  # two surrogates, each encoded as a letter of its own
        (b"\xff\\ud83d\\ude00\n", "\ufffd😀\n"),
    ],
)
def test_what_is_damaged_inside_a_string_is_repaired(inside: bytes, meant: str) -> None:
    payload = b'{"choices":[{"index":0,"delta":{"content":"' + inside + b'"}}]}'
    for around in (b"%b", b" %b\r", b"%b\x00", b"\xef\xbb\xbf%b"):
        assert _text(ChunkParser().parse(around % payload)) == meant


def test_a_chunk_as_deep_as_may_be() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert ChunkParser().parse(nested(MAX_DEPTH)) is not None
    with pytest.raises(InvalidChunk, match="100 levels"):
        ChunkParser().parse(nested(MAX_DEPTH + 1))
    wide = b'{"a":[' + b",".join([b"[]"] * 500) + b"]}"
    assert ChunkParser().parse(wide) == {"a": [[]] * 500}


@pytest.mark.parametrize("index", [b"[]", b"{}", b"null", b"1.5"])
def test_a_half_beside_an_index_that_is_none(index: bytes) -> None:
    assert (
        _text(
            ChunkParser().parse(
                b'{"choices":[{"index":' + index + b',"delta":{"content":"a\\ude00"}}]}'
            )
        )
        == "a\ufffd"
    )


def test_halves_in_two_deltas_become_one_letter() -> None:
    chunks = ChunkParser()
    assert [_text(chunks.parse(payload)) for payload in _content("a\ud83d", "\ude00b")] == [
        "a",
        "😀b",
    ]


def test_halves_of_two_choices_are_kept_apart() -> None:
    chunks = ChunkParser()
    first, second = _content("\ud83d", index=0), _content("\ud83c", index=1)
    assert [_text(chunks.parse(payload)) for payload in first + second] == ["", ""]
    assert _text(chunks.parse(_content("\udf3f", index=1)[0])) == "🌿"
    assert _text(chunks.parse(_content("\ude00", index=0)[0])) == "😀"


def test_a_half_that_stays_alone() -> None:
    chunks = ChunkParser()
    assert _text(chunks.parse(_content("a\ude00b")[0])) == "a\ufffdb"


def test_halves_inside_the_arguments_of_a_call_and_beside_numbers() -> None:
    chunks = ChunkParser()

    def payload(text: str) -> bytes:
        return json.dumps(
            {
                "choices": [
                    {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}, None]}}
                ],
                "n": 1,
            }
        ).encode()

    texts = []
    for piece in ('{"a":"\ud83d', '\ude00"}'):
        chunk = chunks.parse(payload(piece))
        assert chunk is not None
        texts.append(chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"])
    assert "".join(texts) == '{"a":"😀"}'


def test_integers_beyond_64_bits_stay_integers_also_beside_half_a_letter() -> None:
    numbers = '"a": -9223372036854775809, "c": 18446744073709551616, "d": 5'
    for payload in (
        f'{{"error": {{{numbers}}}}}',
        f'{{"error": {{{numbers}, "half": "\\ud83d"}}}}',
    ):
        chunk = ChunkParser().parse(payload.encode())
        assert chunk is not None
        assert chunk["error"] | {"half": ""} == {
            "a": -9223372036854775809,
            "c": 18446744073709551616,
            "d": 5,
            "half": "",
        }
        assert json.loads(exact_json.dumps(chunk)) == chunk


def test_a_number_that_json_does_not_know_is_written_as_nothing() -> None:
    assert exact_json.dumps(ChunkParser().parse(b'{"a": Infinity}')) == b'{"a":null}'
