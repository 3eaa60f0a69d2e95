"""Header filtering in both directions: removes hop-by-hop headers, credentials and CORS headers."""

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
# Responses without a body: a content-length would describe the body of another response.
_WITHOUT_BODY = frozenset({204, 304})


def to_backend(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> RawHeaders:
    """Return the request headers to forward, without `dropped` and the client's credentials."""
    return [
        (name, value)
        for name, value in _end_to_end(headers)
        if name not in _PROXY_ONLY and name not in dropped and name != b"expect"
    ]


def to_backend_without_body(
    headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]
) -> RawHeaders:
    """Return the request headers to forward with a body that the proxy has written itself."""
    return [
        (name, value) for name, value in to_backend(headers, dropped) if name not in _BODY_HEADERS
    ]


def to_client(status: int, headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return the response headers to pass to the client, in order and with duplicates.

    The backend's CORS headers are removed, and so are headers that would make the response invalid.
    """
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
    # A content-length next to chunked encoding must be ignored (RFC 9112, 6.3).
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
