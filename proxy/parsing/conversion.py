"""Conversion of raw text into JSON of the type that a schema demands."""

import ast
import json
import re
import warnings
from functools import partial

from proxy import exact_json
from proxy.parsing.schema import Kinds

LITERAL_LIMIT = 1 << 15
"""Longer Python literals stay text: the compiler that reads them is slow and recursive."""

INTEGER = re.compile(r"([+-]?)([0-9]++)(?:\.0*+)?+")
NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+")
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+")
quote = json.JSONEncoder(ensure_ascii=False).encode
compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def typed(text: str, kinds: Kinds) -> str:
    """Return the JSON of `text`: the most specific fitting kind, or a string if none fits."""
    bare = text.strip()
    found = _typed(bare, kinds)
    if (
        found is None
        and "string" not in kinds
        and len(bare) > 1
        and bare[0] == bare[-1]
        and bare[0] in "\"'"
    ):
        found = _typed(bare[1:-1].strip(), kinds)
    return quote(text) if found is None else found


def _typed(text: str, kinds: Kinds) -> str | None:
    """Return `text` as JSON of one of `kinds` other than string, or None if none fits."""
    if text in ("null", "None") and kinds and ("null" in kinds or "string" not in kinds):
        return "null"
    if "integer" in kinds and (found := integer(text)):
        return found
    if "number" in kinds and (found := number(text)):
        return found
    if "boolean" in kinds and (found := _boolean(text, kinds)):
        return found
    if kinds & {"object", "array"}:
        return _structure(text, kinds)
    return None


def integer(text: str) -> str | None:
    """Return `text` as a JSON integer, or None. `3.0` counts as 3.

    Decimal digits are copied and not converted to a float, so large integers stay exact.
    """
    if whole := INTEGER.fullmatch(text):
        sign, digits = whole[1], whole[2].lstrip("0") or "0"
        return "-" + digits if sign == "-" and digits != "0" else digits
    if NUMBER.fullmatch(text) and (value := float(text)) == value // 1 and abs(value) < 2**53:
        return str(int(value))
    return None


def number(text: str) -> str | None:
    """Return `text` as a JSON number, or None.

    JSON has no infinity, so a number with an exponent that overflows a float is rejected.
    """
    if not NUMBER.fullmatch(text) or abs(float(text)) == float("inf"):
        return integer(text)
    return text if JSON_NUMBER.fullmatch(text) else integer(text) or repr(float(text))


def _boolean(text: str, kinds: Kinds) -> str | None:
    """Return `true`, `false` or None. `1` and `0` count only if the value must be a boolean."""
    word = text.lower()
    if word in ("true", "false"):
        return word
    return {"1": "true", "0": "false"}.get(word) if kinds <= {"boolean", "null"} else None


def _structure(text: str, kinds: Kinds) -> str | None:
    """Return an object or array as JSON, or None. JSON and Python literals are accepted."""
    if text[:1] not in ("{", "[", "("):
        return None
    for read in (_strict, partial(json.loads, strict=False), _python):
        try:
            value = read(text)
            kind = (
                "object"
                if isinstance(value, dict)
                else "array"
                if isinstance(value, (list, tuple))
                else ""
            )
            if kind in kinds:
                return exact_json.dumps(value).decode() if read is _strict else compact(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _strict(text: str) -> object:
    # exact_json is several times faster than json, so a large value delays other requests less.
    return exact_json.loads(text.encode())


def _python(text: str) -> object:
    if len(text) > LITERAL_LIMIT:
        raise ValueError("literal too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # do not log invalid escapes in the model's text
        return ast.literal_eval(text)
