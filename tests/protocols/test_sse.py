"""Server-sent events, cut at every byte."""

import pytest

from proxy.protocols import sse

SAMPLE = (
    'data: {"a":"é\u2028 "}\r\n\r\n: ping\n\nevent: x\nid: 5\nretry: 1\ndata:{"b":1}\n'
    "data: more\r\rdata\n\ndata: [DONE]\n\n"
).encode()
PAYLOADS = ['{"a":"é\u2028 "}'.encode(), b'{"b":1}\nmore', b"[DONE]"]


def _decoded(pieces: list[bytes]) -> list[bytes]:
    decoder = sse.Decoder()
    found = [payload for piece in pieces for payload in decoder.feed(piece)]
    return found + decoder.close()


def test_whole_and_byte_by_byte() -> None:
    assert _decoded([SAMPLE]) == PAYLOADS
    assert _decoded([SAMPLE[at : at + 1] for at in range(len(SAMPLE))]) == PAYLOADS
    assert _decoded([b"", SAMPLE, b""]) == PAYLOADS


@pytest.mark.parametrize("cut", range(len(SAMPLE)))
def test_every_cut(cut: int) -> None:
    assert _decoded([SAMPLE[:cut], SAMPLE[cut:]]) == PAYLOADS


def test_the_last_blank_line_may_be_missing() -> None:
    assert _decoded([b"data: 1\n\ndata: 2"]) == [b"1", b"2"]
    assert _decoded([b"data: 1\n\ndata: 2\n"]) == [b"1", b"2"]


def test_an_error_as_a_field_of_its_own() -> None:
    assert _decoded([b'error: {"message":"m"}\n\n', b"error: not json\n\n"]) == [
        b'{"error":{"message":"m"}}'
    ]


def test_a_line_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LINE_LIMIT", 100)
    decoder = sse.Decoder()
    for _ in range(10):
        decoder.feed(b"x" * 10)
    with pytest.raises(sse.LineTooLong, match="100 bytes"):
        decoder.feed(b"x")
    assert len(_decoded([b"data: 1\n\n" * 30])) == 30  # many short lines are no long one


def test_encoding() -> None:
    assert sse.event(b"{}") == b"data: {}\n\n"
    assert _decoded([sse.PING, sse.event(b"1"), sse.DONE]) == [b"1", b"[DONE]"]


def test_an_event_of_endless_lines() -> None:
    decoder = sse.Decoder()
    line = b"data: " + b"x" * 999_994 + b"\n"
    assert decoder.feed(line * 4) == []
    with pytest.raises(sse.LineTooLong, match="an event of more than 4,194,304 bytes"):
        decoder.feed(line)
    short = sse.Decoder()
    assert len(short.feed((line + b"\n") * 9)) == 9
