"""Which headers go on to the other side, both ways: all but those that speak of one connection,
or that are secrets of one side.
"""

import re
from collections.abc import Iterable

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

RawHeaders = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_PROXY_ONLY = frozenset({b"host", b"authorization", b"x-api-key", b"cookie", b"origin", b"referer"})
_BODY_HEADERS = frozenset(
    {
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"accept",
        b"accept-encoding",
        b"expect",
    }
)
_WITHOUT_BODY = frozenset({204, 304})  # a length there speaks of another answer


def to_backend(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> RawHeaders:
    """The client's own key and cookies stay here."""
    return [
        (name, value)
        for name, value in _end_to_end(headers)
        if name not in _PROXY_ONLY and name not in dropped and name != b"expect"
    ]


def to_backend_without_body(
    headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]
) -> RawHeaders:
    """For a question whose body we write anew."""
    return [
        (name, value) for name, value in to_backend(headers, dropped) if name not in _BODY_HEADERS
    ]


def to_client(status: int, headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Duplicates and their order are kept.

    Who may read us from another web page is not for the backend to say, and what would break the
    head of our answer stays outside: it would break the whole answer."""
    raw = list(headers)
    sent = [
        (name, value) for name, value in _end_to_end(raw) if not name.startswith(b"access-control-")
    ]
    others = [
        (name, value)
        for name, value in sent
        if name != b"content-length" and _NAME.fullmatch(name) and not _CONTROL.search(value)
    ]
    length = first(sent, b"content-length")
    # Then the length was not the one that counted.
    in_chunks = any(name.lower() == b"transfer-encoding" for name, _ in raw)
    if length is None or not length.isdecimal() or in_chunks or status in _WITHOUT_BODY:
        return others
    return [*others, (b"content-length", length.encode("latin-1"))]


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    raw = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in raw
        if name == b"connection"
        for token in value.split(b",")
    }
    return [(name, value) for name, value in raw if name not in _HOP_BY_HOP and name not in named]


def first(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), None)
