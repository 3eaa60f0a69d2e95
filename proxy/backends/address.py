"""Address of a backend: base URL of its API, API key, and whether the host is public."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

import httpx

ZEN_HOST = "opencode.ai"
ZEN = f"https://{ZEN_HOST}/zen/v1"
NO_KEY = "public"  # the key that zen expects from clients without an account
_VERSION = re.compile(r"v\d+")
_PARENT_SEGMENT = re.compile(
    r"[/\\]\.\.($|[/\\;])"
)  # `..`, including the spellings that lenient servers accept
_PRIVATE_SUFFIXES = (
    "localhost",
    ".localhost",
    ".local",
    ".lan",
    ".home",
    ".internal",
    ".home.arpa",
    ".intranet",
)
_CARRIER_NAT = ipaddress.ip_network("100.64.0.0/10")  # used by Tailscale and similar networks


@dataclass(frozen=True, slots=True)
class BackendAddress:
    base: str  # http://host:port/v1, without a trailing slash
    key: str | None = None

    @property
    def root(self) -> str:
        return self.base.rpartition("/")[0]

    @property
    def host(self) -> str:
        return httpx.URL(self.base).host

    @property
    def is_zen(self) -> bool:
        return self.host == ZEN_HOST

    @property
    def is_public(self) -> bool:
        host = self.host
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return "." in host and not host.endswith(_PRIVATE_SUFFIXES)
        address = getattr(address, "ipv4_mapped", None) or address
        return not (
            address.is_private
            or address.is_loopback
            or address.is_link_local
            or address in _CARRIER_NAT
        )

    def url_for(self, path: str) -> str | None:
        """Return the backend URL for the request path `path`, or None if the path is not allowed.

        On a public host only paths below `/v1` are allowed, and none that contains `..`.
        """
        if not path.startswith("/") or (self.is_public and _PARENT_SEGMENT.search(unquote(path))):
            return None
        if path == "/v1" or path.startswith("/v1/"):
            return self.base + path.removeprefix("/v1")
        return None if self.is_public else self.root + path


def parse(url: str, key: str | None = None) -> BackendAddress:
    """Return the address that the setting BACKEND_URL describes.

    `/v1` is appended unless the path ends in a version such as `/v3`. Raises ValueError if the URL
    is invalid, or if `key` would be sent to a public host over plain HTTP.
    """
    try:
        parsed = httpx.URL(ZEN if url == "zen" else url if "://" in url else f"http://{url}")
        parsed.raw_host.decode("ascii").encode("idna")  # the resolver encodes the host like this
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"invalid URL {url!r}: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(
            f"invalid URL {url!r}: it must start with http:// or https:// and name a host"
        )
    if parsed.query or parsed.fragment or parsed.userinfo:
        raise ValueError(f"invalid URL {url!r}: it must not contain a user, query or fragment")
    path = parsed.path.rstrip("/")
    if not _VERSION.fullmatch(path.rpartition("/")[2]):
        path += "/v1"
    address = BackendAddress(str(parsed.copy_with(path=path)), key)
    if key and parsed.scheme == "http" and address.is_public:
        raise ValueError(
            f"refusing to send an API key over plain HTTP; use https for {parsed.host}"
        )
    return address
