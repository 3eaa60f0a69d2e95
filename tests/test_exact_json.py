"""Integers of any size keep their value."""

from typing import Any

import orjson
import pytest

from proxy import exact_json


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        '{"a":123456789012345678901234567890}',
        '{"a":[1,99999999999999999999,{"b":-99999999999999999999}],"c":"é 😀"}',
        '{"text":"in words: 99999999999999999999 and, 99999999999999999999, more"}',
    ],
)
def test_what_is_read_is_written_as_it_was(text: str) -> None:
    assert exact_json.dumps(exact_json.loads(text.encode())).decode() == text


@pytest.mark.parametrize(
    "text",
    ['{"a": 99999999999999999999}', '{"a":\n99999999999999999999\n}', "[99999999999999999999 , 1]"],
)
def test_blanks_around_a_number(text: str) -> None:
    value = exact_json.loads(text.encode())
    assert 99999999999999999999 in (value.values() if isinstance(value, dict) else value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), ("123456789012345678901234.5", 123456789012345678901234.5), ("1e25", 1e25)],
)
def test_other_numbers_stay_other_numbers(text: str, value: float) -> None:
    assert exact_json.loads(text.encode()) == value
    assert isinstance(exact_json.loads(text.encode()), float)


def test_what_is_deeper_than_python_reads_is_still_read() -> None:
    assert (
        exact_json.loads(b'{"a": %b1%b, "b": 99999999999999999999}' % (b"[" * 1000, b"]" * 1000))[
            "b"
        ]
        == 1e20
    )


@pytest.mark.parametrize("raw", [b"NaN", b"[99999999999999999999, NaN]", b"{", b""])
def test_what_is_no_json(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        exact_json.loads(raw)


@pytest.mark.parametrize("value", [[object(), 2**70], [float("nan"), 2**70]])
def test_what_cannot_be_written(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        exact_json.dumps(value)
