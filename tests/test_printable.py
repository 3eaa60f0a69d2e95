"""Text from outside can be shown in a terminal, a log and JSON."""

import json
import os

import pytest

from proxy.printable import encodable, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a model é 🚀", "a model é 🚀"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\u202egpj.exe\u2028", r"\u202egpj.exe\u2028"),
        (os.fsdecode(b"caf\xe9.gguf"), r"caf\xe9.gguf"),
        ("\ud83d", r"\ud83d"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert shown.isprintable()


def test_lines_stay_lines() -> None:
    assert printable_lines("a\n\tb\x1b\r\n") == "a\n\tb\\x1b\\r\n"


def test_what_utf_8_cannot_encode() -> None:
    assert encodable("\x1b é\n") == "\x1b é\n"
    assert encodable("a\udcff\ud83d") == r"a\xff\ud83d"
    json.dumps(encodable("\udcff"), ensure_ascii=False).encode()
