r"""Escaping of untrusted text before it is printed, logged or encoded.

The text comes from file names, metadata, models, clients and servers. Escape sequences could
repaint a terminal or forge log lines, and file names that are not UTF-8 cannot be encoded.
Unprintable characters are written as in a Python string: `\x1b`.
"""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """Return `text` with surrogates escaped, so that it can be encoded as UTF-8.

    Control characters are kept.
    """
    return _SURROGATE.sub(_escaped, text) if _SURROGATE.search(text) else text


def printable(text: str) -> str:
    """Return `text` as one line, with unprintable characters escaped."""
    return (
        text
        if text.isprintable()
        else "".join(letter if letter.isprintable() else _escape(letter) for letter in text)
    )


def printable_lines(text: str) -> str:
    """Return `text` with unprintable characters escaped, except newlines and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def _escape(letter: str) -> str:
    """Return the escape sequence of one character.

    A surrogate that stands for a byte of a file name (PEP 383) is shown as that byte.
    """
    code = ord(letter)
    return (
        f"\\x{code - 0xDC00:02x}"
        if 0xDC80 <= code <= 0xDCFF
        else letter.encode("unicode_escape").decode("ascii")
    )
