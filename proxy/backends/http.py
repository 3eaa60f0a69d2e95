"""HTTP client for all backends, which translates httpx exceptions into errors of this proxy."""

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
# No limit on connections, because httpx's default of 100 would queue the 101st stream. Few are kept
# alive, because the pool is searched at each request.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=4.0)
_DNS_ERROR = re.compile(
    "name or service not known|name resolution|nodename nor servname|no address associated",
    re.IGNORECASE,
)
_SSL_DETAILS = re.compile(r"\[SSL[^\]]*\] | \(_ssl[^)]*\)")
_NO_RESPONSE_ERRORS = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def default_transport(url: str, *, public: bool) -> httpx.AsyncBaseTransport:
    """Return the transport for requests to `url`.

    The HTTP proxy from the environment is used for public hosts only.
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
            f"no secure connection to {provider} ({reason}); check that the server uses https, "
            f"and set SSL_CERT_FILE if its certificate is private"
        )
    if _DNS_ERROR.search(why):
        return f"cannot resolve {provider}; check the network connection and BACKEND_URL"
    return f"cannot connect to {provider}; check that the backend is running, and BACKEND_URL"


class HttpClient:
    def __init__(
        self, transport: httpx.AsyncBaseTransport, on_stale: Callable[[], None] = lambda: None
    ) -> None:
        # Sent with every request. A client request that carries it shows that the backend is this
        # proxy itself.
        self.loop_id = secrets.token_hex(8).encode()
        self._transport = transport
        # Called when a different server may have taken over the address.
        self.on_stale = on_stale

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, and return the response; the caller must read or close its body."""
        try:
            return await self._send_once(request)
        except httpx.TransportError as error:
            raise self._map_error(error, request) from error

    async def send_retryable(self, request: httpx.Request) -> httpx.Response:
        """Send a request that is safe to repeat, and repeat it once if there is no response.

        A reused connection may have been closed by the server, which shows only in use.
        """
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
        """Return at most `limit` bytes of the body, and close the response."""
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
        """Yield the bytes of the body as they arrive, without decoding them."""
        # An async transport returns no other type.
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            async for piece in response.stream:
                yield piece
        except httpx.ReadTimeout as error:
            raise BackendTimeout(
                "the backend sent nothing for 10 minutes (request timeout)"
            ) from error
        except httpx.TransportError as error:
            raise BackendDisconnected(
                "lost the connection to the backend in the middle of the answer (connection lost)"
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
                    f"{place} did not accept the request within "
                    f"{request.extensions['timeout']['write']:.0f} seconds"
                )
            case httpx.TimeoutException():
                return BackendTimeout(
                    f"{place} sent nothing for {request.extensions['timeout']['read']:.0f} seconds"
                )
            case httpx.UnsupportedProtocol() | httpx.ProxyError():
                return Unavailable(f"{place} cannot be reached: {error}")
            case _:
                self.on_stale()
                return BackendDisconnected(
                    f"{place} closed the connection without a response (connection lost)"
                )
