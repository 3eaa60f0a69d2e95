"""Who may come in, by the head of the request alone.

A web page anywhere must not reach a model server at home: neither by a name that it points at us
(Host), nor by a form, an image or a script of its own (Origin, Sec-Fetch-Site). A browser sends a
cached login along with all of these: a key opens nothing for them.
"""

import ipaddress
import socket

from proxy.backends.http import MARK
from proxy.errors import BadRequest, Forbidden, Loop, Unauthorized
from proxy.web import headers
from proxy.web.connection import Connection, Scope
from proxy.web.headers import RawHeaders
from proxy.web.state import House

OPEN_PATH = "/health"
_ONCE = frozenset(
    {b"host", b"origin", b"authorization", b"x-api-key", b"content-type", b"content-length"}
)
_PREFLIGHT_KEPT = b"600"  # seconds
_BACK = "this request has been here before: BACKEND_URL leads back to this proxy"
_IN_A_ROW = (
    "the BACKEND_URL of one llama-bridge leads to another one: "
    "it should name the model server itself, or clients should be pointed at "
    "the other llama-bridge"
)
_BASIC = 'Basic realm="llama-bridge: any name, and the key as password", charset="UTF-8"'


class Permission:
    def __init__(self, house: House) -> None:
        self._house = house
        self._settings = house.settings
        self._names = frozenset(
            (
                "localhost",
                house.settings.proxy_host.lower(),
                *own_names(),
                *house.settings.allowed_hosts,
            )
        )

    def demand(self, connection: Connection) -> None:
        """Raises why this request may not come in."""
        sent, scope = connection.headers, connection.scope
        if marks := [value for name, value in sent if name == MARK]:
            raise Loop(_BACK if self._house.http.mark in marks else _IN_A_ROW)
        names = [name for name, _ in sent if name in _ONCE]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise BadRequest(
                f"the header {twice.decode()!r} stands there twice: nobody can tell which of "
                f"them is meant"
            )
        host = headers.first(sent, b"host") or ""
        if not self._is_ours(_name(host), scope):
            raise Forbidden(
                f"{_name(host)!r} is no name of this server; if it should be, "
                f"add it to ALLOWED_HOSTS"
            )
        self._not_from_a_foreign_page(sent, host, scope["method"])
        if (
            scope["path"] != OPEN_PATH
            and not self.is_preflight(connection)
            and not self._house.keys.open(sent)
        ):
            challenge = (
                _BASIC if scope["path"] == "/" and b"text/html" in _accepted(sent) else "Bearer"
            )
            raise Unauthorized(
                self._house.keys.help(from_here=_is_loopback(scope)),
                headers={"www-authenticate": challenge},
            )

    def cross_origin(self, connection: Connection) -> RawHeaders:
        """What lets a page read the answer that CORS_ORIGINS lets in; nothing for all others."""
        origin = headers.first(connection.headers, b"origin")
        if origin is None or not self._is_welcome(origin):
            return []
        read: RawHeaders = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"x-request-id, retry-after, x-should-retry"),
            (b"vary", b"origin"),
        ]
        if not self.is_preflight(connection):
            return read
        wanted = headers.first(connection.headers, b"access-control-request-headers") or ""
        return [
            *read,
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
            (b"access-control-allow-headers", wanted.encode("latin-1")),
            (b"access-control-allow-private-network", b"true"),
            (b"access-control-max-age", _PREFLIGHT_KEPT),
        ]

    def is_preflight(self, connection: Connection) -> bool:
        """A browser asks whether a page may ask, and we may answer; it never sends a key with
        that.
        """
        origin = headers.first(connection.headers, b"origin")
        method = headers.first(connection.headers, b"access-control-request-method")
        return (
            connection.scope["method"] == "OPTIONS"
            and origin is not None
            and method is not None
            and self._is_welcome(origin)
        )

    def _not_from_a_foreign_page(self, sent: RawHeaders, host: str, method: str) -> None:
        origin = headers.first(sent, b"origin")
        if origin is None:
            site, mode = (
                headers.first(sent, b"sec-fetch-site"),
                headers.first(sent, b"sec-fetch-mode"),
            )
            if site in ("cross-site", "same-site") and (
                mode != "navigate" or method not in ("GET", "HEAD")
            ):
                raise Forbidden(
                    "other web pages may not use this server; if they should, "
                    "name their origin in CORS_ORIGINS"
                )
            return
        _, _, from_host = origin.partition("://")
        if (
            from_host != host
            and _name(from_host) not in self._settings.allowed_hosts
            and not self._is_welcome(origin)
        ):
            raise Forbidden(
                f"web pages of {origin!r} may not use this server; if they should, "
                f"add it to CORS_ORIGINS"
            )

    def _is_welcome(self, origin: str) -> bool:
        return origin.lower() in self._settings.cors_origins or "*" in self._settings.cors_origins

    def _is_ours(self, name: str, scope: Scope) -> bool:
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        server = scope.get("server")
        return address.is_loopback or (server is not None and server[0] == str(address))


def own_names() -> tuple[str, ...]:
    """Return the names of this machine, as it knows them itself and as mDNS announces it in the
    LAN.
    """
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return (name, short, f"{short}.local") if short else ()


def _accepted(sent: RawHeaders) -> bytes:
    return b",".join(value for name, value in sent if name == b"accept")


def _is_loopback(scope: Scope) -> bool:
    try:
        address = ipaddress.ip_address(scope["client"][0])
    except (ValueError, TypeError):  # nobody said who it is
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _name(host: str) -> str:
    """Without the port, and without the brackets of IPv6."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.strip("[]").lower().removesuffix(".")
