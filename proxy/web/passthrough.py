"""Passthrough endpoint: forwards requests to all other paths, with their bodies unchanged."""

from collections.abc import AsyncIterator

import httpx

from proxy.backends.address import BackendAddress
from proxy.backends.base import Backend, with_authorization
from proxy.backends.provider import ContextClaim, RouteRequest
from proxy.errors import BadRequest, BridgeError, InvalidBackendResponse, NotFound, Unavailable
from proxy.web import headers
from proxy.web.body_model import read_model_field
from proxy.web.connection import Connection
from proxy.web.state import AppState

UPSTREAM = "/upstream"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110, 9.2.1


class Forwarder:
    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state

    async def __call__(self, connection: Connection) -> None:
        path: str = connection.scope["raw_path"].decode("latin-1")
        if path == UPSTREAM or path.startswith(UPSTREAM + "/"):
            path = path.removeprefix(UPSTREAM) or "/"
        has_body = any(
            name in (b"content-length", b"transfer-encoding") for name, _ in connection.headers
        )
        await connection.run_until_disconnected(
            self._answer(connection, path, connection.stream_body() if has_body else None)
        )

    def _request(
        self,
        connection: Connection,
        backend: Backend,
        address: BackendAddress,
        path: str,
        content: AsyncIterator[bytes] | None,
    ) -> httpx.Request:
        scope = connection.scope
        url = address.url_for(path)
        if url is None:
            raise NotFound(f"{path} is outside the API of {address.host} and is not forwarded")
        if query := scope["query_string"].decode("latin-1"):
            url += "?" + query
        sent = with_authorization(
            address, headers.to_backend(connection.headers, backend.dropped_headers)
        )
        try:
            return httpx.Request(scope["method"], url, headers=sent, content=content)
        except httpx.InvalidURL as error:
            raise BadRequest(f"invalid path: {error}") from None

    async def _answer(
        self, connection: Connection, path: str, content: AsyncIterator[bytes] | None
    ) -> None:
        route, content = await self._route_request(connection.scope["method"], content)
        backend = await self._app_state.backend(route)
        try:
            if route is not None and content is not None and backend.uses_context(path):
                content = await self._admit(connection, backend, content)
            async with backend.exclusive():
                response = await self._send(connection, backend, path, content)
                whole = await self._relay(connection, response)
            # A completed answer to a POST proves that the model works.
            if whole and response.status_code == 200 and connection.scope["method"] == "POST":
                backend.provider.report_success()
        finally:
            backend.provider.release()

    async def _admit(
        self, connection: Connection, backend: Backend, content: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Wait until the request may use the whole context, and return its body.

        The body is not parsed, so the number of tokens that the request needs is unknown. The body
        is read before the wait, so that a disconnect is noticed.
        """
        body = await connection.read_all(content)
        await backend.provider.address()
        connection.stats.waiting_reason = backend.provider.waiting_reason
        with connection.stats.measure_wait():
            await backend.provider.admit(ContextClaim())
        return _replay(body)

    async def _send(
        self,
        connection: Connection,
        backend: Backend,
        path: str,
        content: AsyncIterator[bytes] | None,
    ) -> httpx.Response:
        address = await backend.provider.address()
        # A request without a body can be repeated.
        send = self._app_state.http.send_retryable if content is None else self._app_state.http.send
        try:
            return await send(self._request(connection, backend, address, path, content))
        except Unavailable:  # the connection failed before any of the body was read
            if (other := await backend.provider.failover(address)) is None:
                raise
        return await send(self._request(connection, backend, other, path, content))

    async def _route_request(
        self, method: str, content: AsyncIterator[bytes] | None
    ) -> tuple[RouteRequest | None, AsyncIterator[bytes] | None]:
        """Return the route to the managed model that the body names, and the body to forward.

        The route is None if the backend is remote, or if the method is safe: such requests never
        load a model.
        """
        known = self._app_state.provider.models()
        if known is None or method in _SAFE_METHODS:
            return None, content
        name, content = (
            await read_model_field(content)
            if content is not None and len(known) > 1
            else (None, content)
        )
        return RouteRequest(name), content

    async def _relay(self, connection: Connection, response: httpx.Response) -> bool:
        """Send the backend's response to the client; return whether the response was complete."""
        try:
            if not 200 <= response.status_code < 600:
                raise InvalidBackendResponse(
                    f"the backend responded with an invalid status: {response.status_code}"
                )
            await connection.start(
                response.status_code, headers.to_client(response.status_code, response.headers.raw)
            )
            async for piece in self._app_state.http.stream(response):
                await connection.write(piece)
        except BridgeError as error:
            if not connection.started:
                raise
            connection.stats.error = error.summary
            # The server closes the connection, so the client notices the incomplete response.
            return False
        finally:
            await response.aclose()
        await connection.end()
        return True


async def _replay(body: bytes) -> AsyncIterator[bytes]:
    yield body
