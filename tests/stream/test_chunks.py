"""Payloads as chunks: what is none is dropped, halves of letters are joined."""

import json
from typing import Any

import pytest

from proxy.stream import exact_json
from proxy.stream.chunks import Chunks


def _content(*texts: str, index: int = 0) -> list[bytes]:
    return [json.dumps({"choices": [{"index": index, "delta": {"content": text}}]}).encode() for text in texts]


def _text(chunk: dict[str, Any] | None) -> str:
    assert chunk is not None
    return str(chunk["choices"][0]["delta"]["content"])


@pytest.mark.parametrize("payload", [b"", b"ping", b"{", b"[1]", b'"text"', b"null", b"[" * 5000, b"\xff"])
def test_what_is_no_chunk(payload: bytes) -> None:
    assert Chunks().parse(payload) is None


def test_a_chunk() -> None:
    assert Chunks().parse(b'{"choices":[]}') == {"choices": []}


def test_halves_in_two_deltas_become_one_letter() -> None:
    chunks = Chunks()
    assert [_text(chunks.parse(payload)) for payload in _content("a\ud83d", "\ude00b")] == ["a", "😀b"]


def test_halves_of_two_choices_are_kept_apart() -> None:
    chunks = Chunks()
    first, second = _content("\ud83d", index=0), _content("\ud83c", index=1)
    assert [_text(chunks.parse(payload)) for payload in first + second] == ["", ""]
    assert _text(chunks.parse(_content("\udf3f", index=1)[0])) == "🌿"
    assert _text(chunks.parse(_content("\ude00", index=0)[0])) == "😀"


def test_a_half_that_stays_alone() -> None:
    chunks = Chunks()
    assert _text(chunks.parse(_content("a\ude00b")[0])) == "a\ufffdb"


def test_halves_inside_the_arguments_of_a_call_and_beside_numbers() -> None:
    chunks = Chunks()

    def payload(text: str) -> bytes:
        return json.dumps({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}, None]}}], "n": 1}).encode()

    texts = []
    for piece in ('{"a":"\ud83d', '\ude00"}'):
        chunk = chunks.parse(payload(piece))
        assert chunk is not None
        texts.append(chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"])
    assert "".join(texts) == '{"a":"😀"}'


def test_integers_beyond_64_bits_stay_integers_also_beside_half_a_letter() -> None:
    numbers = '"a": -9223372036854775809, "c": 18446744073709551616, "d": 5'
    for payload in (f'{{"error": {{{numbers}}}}}', f'{{"error": {{{numbers}, "half": "\\ud83d"}}}}'):
        chunk = Chunks().parse(payload.encode())
        assert chunk is not None
        assert chunk["error"] | {"half": ""} == {"a": -9223372036854775809, "c": 18446744073709551616, "d": 5, "half": ""}
        assert json.loads(exact_json.dumps(chunk)) == chunk


def test_a_number_that_json_does_not_know_is_written_as_nothing() -> None:
    assert exact_json.dumps(Chunks().parse(b'{"a": Infinity}')) == b'{"a":null}'
