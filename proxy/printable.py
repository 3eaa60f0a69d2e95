"""Text from outside (file names, metadata, models, clients, servers) made safe to print, to log and
to encode.

Escape sequences in it would repaint a terminal or forge lines of a log, and a file name that is not
UTF-8 cannot be encoded at all. What cannot be shown is written as in a Python string: `\\x1b`.
"""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """Return the text with what UTF-8 cannot encode escaped; all else stays, control characters
    too.
    """
    return _SURROGATE.sub(_escaped, text) if _SURROGATE.search(text) else text


def printable(text: str) -> str:
    """Return the text as one line that a terminal shows and does not obey."""
    return (
        text
        if text.isprintable()
        else "".join(letter if letter.isprintable() else _escape(letter) for letter in text)
    )


def printable_lines(text: str) -> str:
    """Return the text with its lines and tabs as they are, and each line printable."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def _escape(letter: str) -> str:
    """A byte of a file name that is not UTF-8 is shown as that byte."""
    code = ord(letter)
    return (
        f"\\x{code - 0xDC00:02x}"
        if 0xDC80 <= code <= 0xDCFF
        else letter.encode("unicode_escape").decode("ascii")
    )
