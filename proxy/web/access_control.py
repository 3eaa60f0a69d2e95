"""Access control by request headers: Host, Origin, fetch metadata, API key, proxy loops.

A foreign web page must not reach a local model server, neither through a DNS name that points to
it (checked by Host) nor through a form, image or script (checked by Origin and Sec-Fetch-Site).
Browsers attach cached credentials to such requests, so an API key alone does not protect.
"""

import ipaddress
import socket

from proxy.backends.http import LOOP_HEADER
from proxy.errors import BadRequest, Forbidden, ProxyLoop, Unauthorized
from proxy.web import headers
from proxy.web.connection import Connection, Scope
from proxy.web.headers import RawHeaders
from proxy.web.state import AppState

PUBLIC_PATH = "/health"
_UNIQUE_HEADERS = frozenset(
    {b"host", b"origin", b"authorization", b"x-api-key", b"content-type", b"content-length"}
)
_PREFLIGHT_TTL = b"600"  # seconds
_LOOP = "proxy loop: BACKEND_URL leads back to this proxy; set it to the model server's URL"
_CHAINED = (
    "the BACKEND_URL of one llama-bridge is another llama-bridge; "
    "set it to the model server's URL, or point clients at "
    "the other llama-bridge"
)
_BASIC = 'Basic realm="llama-bridge: any user name, the key as password", charset="UTF-8"'


class AccessControl:
    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state
        self._settings = app_state.settings
        self._names = frozenset(
            (
                "localhost",
                app_state.settings.proxy_host.lower(),
                *own_host_names(),
                *app_state.settings.allowed_hosts,
            )
        )

    def check(self, connection: Connection) -> None:
        """Raise a BridgeError if the request must not be served."""
        sent, scope = connection.headers, connection.scope
        if loop_ids := [value for name, value in sent if name == LOOP_HEADER]:
            raise ProxyLoop(_LOOP if self._app_state.http.loop_id in loop_ids else _CHAINED)
        names = [name for name, _ in sent if name in _UNIQUE_HEADERS]
        if duplicate := next((name for name in names if names.count(name) > 1), None):
            raise BadRequest(f"duplicate header: {duplicate.decode()!r}")
        host = headers.first(sent, b"host") or ""
        if not self._is_own_host(_host_name(host), scope):
            raise Forbidden(
                f"unknown host {_host_name(host)!r}; add it to ALLOWED_HOSTS to accept it"
            )
        self._check_origin(sent, host, scope["method"])
        if (
            scope["path"] != PUBLIC_PATH
            and not self.is_preflight(connection)
            and not self._app_state.api_keys.accepts(sent)
        ):
            challenge = (
                _BASIC if scope["path"] == "/" and b"text/html" in _accepted(sent) else "Bearer"
            )
            raise Unauthorized(
                self._app_state.api_keys.missing_key_message(is_local=_is_loopback(scope)),
                headers={"www-authenticate": challenge},
            )

    def cors_headers(self, connection: Connection) -> RawHeaders:
        """Return the CORS response headers; none if the origin is absent or not allowed."""
        origin = headers.first(connection.headers, b"origin")
        if origin is None or not self._is_allowed_origin(origin):
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
            (b"access-control-max-age", _PREFLIGHT_TTL),
        ]

    def is_preflight(self, connection: Connection) -> bool:
        """Return whether the request is a CORS preflight from an allowed origin.

        Browsers send no API key with a preflight, so none is required.
        """
        origin = headers.first(connection.headers, b"origin")
        method = headers.first(connection.headers, b"access-control-request-method")
        return (
            connection.scope["method"] == "OPTIONS"
            and origin is not None
            and method is not None
            and self._is_allowed_origin(origin)
        )

    def _check_origin(self, sent: RawHeaders, host: str, method: str) -> None:
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
                    "other web pages may not use this server; "
                    "add their origin to CORS_ORIGINS to allow it"
                )
            return
        _, _, from_host = origin.partition("://")
        if (
            from_host != host
            and _host_name(from_host) not in self._settings.allowed_hosts
            and not self._is_allowed_origin(origin)
        ):
            raise Forbidden(
                f"web pages of {origin!r} may not use this server; "
                f"add the origin to CORS_ORIGINS to allow it"
            )

    def _is_allowed_origin(self, origin: str) -> bool:
        return origin.lower() in self._settings.cors_origins or "*" in self._settings.cors_origins

    def _is_own_host(self, name: str, scope: Scope) -> bool:
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        server = scope.get("server")
        return address.is_loopback or (server is not None and server[0] == str(address))


def own_host_names() -> tuple[str, ...]:
    """Return this machine's hostname, its short form, and its mDNS name."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return (name, short, f"{short}.local") if short else ()


def _accepted(sent: RawHeaders) -> bytes:
    return b",".join(value for name, value in sent if name == b"accept")


def _is_loopback(scope: Scope) -> bool:
    try:
        address = ipaddress.ip_address(scope["client"][0])
    except (ValueError, TypeError):  # the ASGI server did not pass an IP address
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _host_name(host: str) -> str:
    """Return the name in a Host header: lower case, without port, brackets or trailing dot."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.strip("[]").lower().removesuffix(".")
