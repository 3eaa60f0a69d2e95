"""Where a backend is, and who may be asked for what."""

import pytest

from proxy.backends import address
from proxy.backends.address import BackendAddress


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1"),
        ("http://localhost:8080/", "http://localhost:8080/v1"),
        ("http://localhost:8080/v1", "http://localhost:8080/v1"),
        ("http://localhost:8080/v1/", "http://localhost:8080/v1"),
        ("localhost:8080", "http://localhost:8080/v1"),
        ("https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4"),
        ("http://h/openai", "http://h/openai/v1"),
        ("http://h/v1beta", "http://h/v1beta/v1"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
        ("zen", "https://opencode.ai/zen/v1"),
    ],
)
def test_the_base_of_the_api(url: str, base: str) -> None:
    assert address.parse(url) == BackendAddress(base)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "http://",
        "http://h?x=1",
        "http://u:p@h",
        "http://h#f",
        "http://[::1",
        "http://a..b",
        f"http://{'a' * 64}.lan",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"invalid URL"):
        address.parse(url)


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("localhost", False),
        ("127.0.0.1", False),
        ("192.168.1.5", False),
        ("10.1.1.1", False),
        ("100.100.1.1", False),
        ("[::1]", False),
        ("[fd00::1]", False),
        ("169.254.1.1", False),
        ("ollama", False),
        ("mypc.lan", False),
        ("mypc.local", False),
        ("host.docker.internal", False),
        ("opencode.ai", True),
        ("8.8.8.8", True),
        ("[2606:4700::1]", True),
        ("[::ffff:8.8.8.8]", True),
        ("[::ffff:10.0.0.1]", False),
    ],
)
def test_which_hosts_are_public(host: str, public: bool) -> None:
    assert address.parse(f"https://{host}/v1").is_public is public


def test_what_our_paths_mean_there() -> None:
    at_home = address.parse("http://10.0.0.5:81/api/v1")
    assert at_home.url_for("/v1/models") == "http://10.0.0.5:81/api/v1/models"
    assert at_home.url_for("/v1") == "http://10.0.0.5:81/api/v1"
    assert at_home.url_for("/props") == "http://10.0.0.5:81/api/props"
    assert at_home.url_for("/v1x") == "http://10.0.0.5:81/api/v1x"


def test_a_public_host_gets_no_requests_outside_its_base() -> None:
    zen = address.parse("zen")
    assert zen.url_for("/v1/embeddings") == "https://opencode.ai/zen/v1/embeddings"
    assert zen.url_for("/props") is None


def test_a_key_is_never_sent_unencrypted_to_a_public_host() -> None:
    with pytest.raises(ValueError, match="plain HTTP"):
        address.parse("http://example.com/v1", "secret")
    assert address.parse("https://example.com/v1", "secret").key == "secret"
    assert address.parse("http://10.0.0.5/v1", "secret").key == "secret"
