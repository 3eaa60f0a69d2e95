"""JSON reading and writing that keeps integers beyond 64 bits exact.

orjson alone reads such integers as floats, and cannot write them.
"""

import json
import re
from typing import Any

import orjson

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
# Searching for 19 digits in a row is ten times faster than the pattern, and rules out most bodies.
_MANY = b"0" * 19
# Intended for integers outside of strings; a match inside a string only costs time.
_LONG_INTEGER = re.compile(rb"(?<![^\s:,\[])-?[0-9]{19,}(?![^\s,\]}])")


def loads(raw: bytes) -> Any:
    """Return the value of the JSON text `raw`.

    Raises orjson.JSONDecodeError for anything that orjson does not accept, such as NaN.
    """
    value = orjson.loads(raw)
    if _MANY not in raw.translate(_ZEROS) or _LONG_INTEGER.search(raw) is None:
        return value
    try:
        return json.loads(raw)
    except RecursionError:  # orjson accepts deeper nesting than the json module
        return value


def dumps(value: Any) -> bytes:
    """Return `value` as compact JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
