"""Headers that are forwarded, and headers that are not."""

import pytest

from proxy.web.headers import RawHeaders, first, to_backend, to_backend_without_body, to_client

NOTHING: frozenset[bytes] = frozenset()
HOP = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"Proxy-Connection",
    b"TE",
    b"Trailer",
]


@pytest.mark.parametrize("name", [*HOP, b"Transfer-Encoding", b"Upgrade"])
def test_what_speaks_of_one_connection_ends_with_it(name: bytes) -> None:
    sent: RawHeaders = [(name, b"x"), (b"X-Kept", b"1")]
    assert to_backend(sent, NOTHING) == to_client(200, sent) == [(b"x-kept", b"1")]


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (b"X-One", [b"x-two"]),
        (b"close,x-one ,\tX-TWO", []),
        (b"", [b"x-one", b"x-two"]),
        (b"x-on", [b"x-one", b"x-two"]),
    ],
)
def test_the_connection_names_more_of_them(named: bytes, left: list[bytes]) -> None:
    sent: RawHeaders = [(b"x-one", b"1"), (b"connection", named), (b"x-two", b"2")]
    assert [name for name, _ in to_backend(sent, NOTHING)] == left
    assert [name for name, _ in to_client(200, sent)] == left


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Authorization",
        b"X-Api-Key",
        b"Cookie",
        b"Origin",
        b"Referer",
        b"Expect",
        b"X-Never",
    ],
)
def test_what_is_between_the_client_and_us(name: bytes) -> None:
    assert to_backend([(name, b"secret")], frozenset({b"x-never"})) == []


def test_the_rest_goes_on_in_its_order_and_as_often_as_it_came() -> None:
    sent: RawHeaders = [
        (b"X-Session-Id", b"1"),
        (b"Accept", b"*/*"),
        (b"x-session-id", b"2"),
        (b"Content-Length", b"3"),
    ]
    assert to_backend(sent, NOTHING) == [(name.lower(), value) for name, value in sent]


@pytest.mark.parametrize(
    "name",
    [
        b"Content-Length",
        b"Content-Type",
        b"Content-Encoding",
        b"Accept",
        b"Accept-Encoding",
        b"Cookie",
        b"Te",
    ],
)
def test_a_rewritten_body_has_its_own_headers(name: bytes) -> None:
    assert to_backend_without_body([(name, b"x"), (b"user-agent", b"me")], NOTHING) == [
        (b"user-agent", b"me")
    ]


def test_who_may_read_us_is_not_for_the_backend_to_say() -> None:
    sent: RawHeaders = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"access-control-max-age", b"1"),
        (b"Vary", b"Origin"),
        (b"Server", b"x"),
    ]
    assert to_client(200, sent) == [(b"vary", b"Origin"), (b"server", b"x")]


def test_the_first_of_a_name() -> None:
    sent: RawHeaders = [(b"host", b"a\xfc"), (b"host", b"b")]
    assert first(sent, b"host") == "aü"
    assert first(sent, b"origin") is None


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x", b"a\nb", b"a\x00b", b"\x7f", b"a\x1bb"])
def test_what_would_break_the_head_of_our_answer_stays_outside(value: bytes) -> None:
    assert to_client(200, [(b"x-a", value), (b"x-b", b"kept\t\xff")]) == [(b"x-b", b"kept\t\xff")]


@pytest.mark.parametrize("name", [b"x a", b"x:a", b"", b"x\r\na", "\xe4".encode()])
def test_names_that_are_none(name: bytes) -> None:
    assert to_client(200, [(name, b"a")]) == []


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ([b"5", b"5"], [b"5"]),
        ([b"5", b"6"], [b"5"]),
        ([b"-5"], []),
        ([b"5x"], []),
        ([b"0"], [b"0"]),
    ],
)
def test_one_length_or_none(lengths: list[bytes], kept: list[bytes]) -> None:
    assert [
        value for _, value in to_client(200, [(b"content-length", length) for length in lengths])
    ] == kept


@pytest.mark.parametrize(
    ("status", "more", "kept"),
    [
        (200, [], True),
        (204, [], False),
        (304, [], False),
        (200, [(b"Transfer-Encoding", b"chunked")], False),
    ],
)
def test_a_length_that_does_not_count(status: int, more: RawHeaders, kept: bool) -> None:
    assert to_client(status, [(b"content-length", b"5"), *more]) == (
        [(b"content-length", b"5")] if kept else []
    )
