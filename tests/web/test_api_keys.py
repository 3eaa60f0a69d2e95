"""API keys: where a request may carry one, and the error message for a local or remote client."""

import base64
from pathlib import Path

import pytest

from proxy.web import key_file
from proxy.web.api_keys import ApiKeys
from proxy.web.headers import RawHeaders

GIVEN = ApiKeys(("first", "schlüssel"))


def basic(text: str) -> RawHeaders:
    return [(b"authorization", b"Basic " + base64.b64encode(text.encode()))]


@pytest.mark.parametrize(
    ("sent", "opens"),
    [
        (basic("anybody:first"), True),
        (basic("anybody:schlüssel"), True),
        (basic("first:"), True),
        (basic("first"), True),
        (basic(":first"), True),
        (basic("first:wrong"), False),
        (basic("anybody:first:"), False),
        (basic(""), False),
        ([(b"authorization", b"basic  " + base64.b64encode(b"x:first"))], True),
        ([(b"authorization", b"Basic first")], False),
        ([(b"authorization", b"Basic =")], False),
        ([(b"authorization", b"Basic \xff")], False),
        ([(b"authorization", b"Bearer first")], True),
        ([(b"authorization", b"Bearer ")], False),
        ([(b"authorization", b"first")], False),
        ([(b"x-api-key", "schlüssel".encode())], True),
        ([], False),
    ],
)
def test_which_keys_are_accepted(sent: RawHeaders, opens: bool) -> None:
    assert GIVEN.accepts(sent) is opens
    assert ApiKeys().accepts(sent)


def test_a_new_key_opens_at_once_and_the_old_one_nothing(tmp_path: Path) -> None:
    file = tmp_path / "key"
    old = key_file.create(file)
    keys = ApiKeys((old,), file)
    assert keys.accepts([(b"x-api-key", old.encode())])
    new = key_file.create(file)
    assert not keys.accepts([(b"x-api-key", old.encode())])
    assert keys.accepts([(b"x-api-key", new.encode())])


@pytest.mark.parametrize("written", [None, b"", b" \n", b"\xff"])
def test_where_the_key_is_gone_nothing_opens(written: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if written is not None:
        file.write_bytes(written)
    for sent in ([], [(b"x-api-key", b"")], [(b"x-api-key", b"old")], basic(":"), basic("")):
        assert not ApiKeys(("old",), file).accepts(sent)


def test_only_a_key_that_was_made_is_shown() -> None:
    assert GIVEN.generated is None
    assert ApiKeys().generated is None
    assert ApiKeys(("lb-x",), Path("/k")).generated == "lb-x"


def test_the_error_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me1234")
    made = ApiKeys(("lb-x",), Path("/home/me1234/.config/llama-bridge/key"))
    here, far = made.missing_key_message(is_local=True), made.missing_key_message(is_local=False)
    assert "The key is in ~/.config/llama-bridge/key, and `llama-bridge key` prints it" in here
    assert "provider.llama-bridge.options.apiKey" in here
    assert far.endswith("run `llama-bridge key` on the server.")
    assert "/srv/key" in ApiKeys(("lb-x",), Path("/srv/key")).missing_key_message(is_local=True)
    assert "with one of the keys that PROXY_API_KEYS had" in GIVEN.missing_key_message(
        is_local=True
    )
    assert (
        "run `llama-bridge key` on the server, or use a key of its PROXY_API_KEYS"
        in GIVEN.missing_key_message(is_local=False)
    )
    for text in (here, far):
        assert "Authorization: Bearer KEY" in text
        assert "lb-x" not in text
