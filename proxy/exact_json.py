"""JSON whose integers stay integers: orjson reads one beyond 64 bits as a float and cannot write
it.
"""

import json
import re
from typing import Any

import orjson

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
# Without so many digits in a row there is none: ten times faster to find than by a pattern.
_MANY = b"0" * 19
# Only a number outside of text begins and ends like this; inside a text a match costs time and
# nothing else.
_LONG_INTEGER = re.compile(rb"(?<![^\s:,\[])-?[0-9]{19,}(?![^\s,\]}])")


def loads(raw: bytes) -> Any:
    """Return the value of `raw`.

    Raises orjson.JSONDecodeError for what orjson does not accept, such as NaN.
    """
    value = orjson.loads(raw)
    if _MANY not in raw.translate(_ZEROS) or _LONG_INTEGER.search(raw) is None:
        return value
    try:
        return json.loads(raw)
    except RecursionError:  # orjson reads deeper than Python can
        return value


def dumps(value: Any) -> bytes:
    """Return `value` as compact JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
