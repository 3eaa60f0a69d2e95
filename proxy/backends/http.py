"""One HTTP client for all backends; every foreign error is translated here, once."""

import re
import secrets
import urllib.request
from collections.abc import AsyncIterator, Callable

import httpx

from proxy.backends.transport import SOCKET_OPTIONS, Transport
from proxy.errors import BackendDisconnected, BackendTimeout, BridgeError, Unavailable

LOOP_HEADER = b"x-llama-bridge"
TIMEOUTS = {"connect": 10.0, "read": 600.0, "write": 600.0, "pool": None}
PROBE_TIMEOUTS = {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": None}
# No limit on connections: httpx's own 100 would queue the 101st stream. Few are kept: its pool is
# searched at each request.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=4.0)
_DNS_ERROR = re.compile(
    "name or service not known|name resolution|nodename nor servname|no address associated",
    re.IGNORECASE,
)
_SSL_DETAILS = re.compile(r"\[SSL[^\]]*\] | \(_ssl[^)]*\)")
_NO_RESPONSE_ERRORS = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def default_transport(url: str, *, public: bool) -> httpx.AsyncBaseTransport:
    """A public host may lie behind the proxy that the environment names; a server at home never
    does.
    """
    if not public and url.startswith("http:"):
        return Transport(_LIMITS)
    proxy = None
    if public and not urllib.request.proxy_bypass(httpx.URL(url).host):
        proxy = urllib.request.getproxies().get(httpx.URL(url).scheme)
    return httpx.AsyncHTTPTransport(
        limits=_LIMITS, proxy=proxy, socket_options=SOCKET_OPTIONS, http2=False
    )


def _unreachable(provider: str, why: str) -> str:
    if "SSL" in why:
        reason = _SSL_DETAILS.sub("", why)
        return (
            f"no secure connection to {provider} ({reason}): is it https at all, "
            f"and does this machine know its certificate? "
            "SSL_CERT_FILE can name it"
        )
    if _DNS_ERROR.search(why):
        return f"{provider} cannot be found: is this machine connected, and is BACKEND_URL right?"
    return f"nothing answers at {provider}: is the backend running, and is BACKEND_URL right?"


class HttpClient:
    def __init__(
        self, transport: httpx.AsyncBaseTransport, on_stale: Callable[[], None] = lambda: None
    ) -> None:
        # Every request carries it; who meets it again is asked by itself.
        self.loop_id = secrets.token_hex(8).encode()
        self._transport = transport
        # Called when another server may have taken the place of the known one.
        self.on_stale = on_stale

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer; the body is still to be read, or closed."""
        try:
            return await self._send_once(request)
        except httpx.TransportError as error:
            raise self._map_error(error, request) from error

    async def send_retryable(self, request: httpx.Request) -> httpx.Response:
        """As `send`, for a question that may be asked twice: a kept connection may have been closed
        at the other end, and this shows only when no answer comes at all."""
        try:
            return await self._send_once(request)
        except _NO_RESPONSE_ERRORS:
            return await self.send(request)
        except httpx.TransportError as error:
            raise self._map_error(error, request) from error

    async def _send_once(self, request: httpx.Request) -> httpx.Response:
        request.extensions.setdefault("timeout", TIMEOUTS)
        if (LOOP_HEADER, self.loop_id) not in request.headers.raw:
            request.headers = httpx.Headers([*request.headers.raw, (LOOP_HEADER, self.loop_id)])
        return await self._transport.handle_async_request(request)

    async def read(self, response: httpx.Response, limit: int = 4 * 1024 * 1024) -> bytes:
        """A short body, whole. Beyond the limit the rest is left unread."""
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in self.stream(response):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    break
        finally:
            await response.aclose()
        return b"".join(pieces)[:limit]

    async def stream(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The bytes as they come, undecoded."""
        assert isinstance(response.stream, httpx.AsyncByteStream)  # what an async transport gives
        try:
            async for piece in response.stream:
                yield piece
        except httpx.ReadTimeout as error:
            raise BackendTimeout(
                "the backend has sent nothing for 10 minutes (request timeout)"
            ) from error
        except httpx.TransportError as error:
            raise BackendDisconnected(
                "the connection to the backend was lost in the middle of the answer "
                "(connection lost)"
            ) from error

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _map_error(self, error: httpx.TransportError, request: httpx.Request) -> BridgeError:
        place = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout():
                self.on_stale()
                return Unavailable(_unreachable(place, str(error)))
            case httpx.WriteTimeout():
                return BackendTimeout(
                    f"{place} has not taken the request within "
                    f"{request.extensions['timeout']['write']:.0f} seconds"
                )
            case httpx.TimeoutException():
                return BackendTimeout(
                    f"{place} has sent nothing for {request.extensions['timeout']['read']:.0f} "
                    f"seconds"
                )
            case httpx.UnsupportedProtocol() | httpx.ProxyError():
                return Unavailable(f"{place} cannot be reached: {error}")
            case _:
                self.on_stale()
                return BackendDisconnected(
                    f"{place} closed the connection without an answer (connection lost)"
                )
