"""Everything that is not ours: bytes and headers as they are, both ways, while they come."""

from collections.abc import AsyncIterator

import httpx

from proxy.backends.address import Address
from proxy.backends.base import Backend, authorized
from proxy.backends.provider import Claim, Wish
from proxy.errors import BadAnswer, BadRequest, BridgeError, NotFound, Unavailable
from proxy.web import headers
from proxy.web.body_model import model_in
from proxy.web.connection import Connection
from proxy.web.state import House

UPSTREAM = "/upstream"
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110, 9.2.1: they change nothing


class PassThrough:
    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, connection: Connection) -> None:
        path: str = connection.scope["raw_path"].decode("latin-1")
        if path == UPSTREAM or path.startswith(UPSTREAM + "/"):
            path = path.removeprefix(UPSTREAM) or "/"
        has_body = any(
            name in (b"content-length", b"transfer-encoding") for name, _ in connection.headers
        )
        await connection.unless_gone(
            self._answer(connection, path, connection.pieces() if has_body else None)
        )

    def _request(
        self,
        connection: Connection,
        backend: Backend,
        address: Address,
        path: str,
        content: AsyncIterator[bytes] | None,
    ) -> httpx.Request:
        scope = connection.scope
        url = address.of(path)
        if url is None:
            raise NotFound(
                f"{path} lies outside the API of {address.host}, and nothing else is asked there"
            )
        if query := scope["query_string"].decode("latin-1"):
            url += "?" + query
        sent = authorized(address, headers.to_backend(connection.headers, backend.never_forwarded))
        try:
            return httpx.Request(scope["method"], url, headers=sent, content=content)
        except httpx.InvalidURL as error:
            raise BadRequest(f"this path cannot be asked for: {error}") from None

    async def _answer(
        self, connection: Connection, path: str, content: AsyncIterator[bytes] | None
    ) -> None:
        wish, content = await self._wish(connection.scope["method"], content)
        backend = await self._house.backend(wish)
        try:
            if wish is not None and content is not None and backend.takes_context(path):
                content = await self._admitted(connection, backend, content)
            async with backend.turn():
                response = await self._opened(connection, backend, path, content)
                whole = await self._pass(connection, response)
            # It has worked, not only told of itself.
            if whole and response.status_code == 200 and connection.scope["method"] == "POST":
                backend.place.answered()
        finally:
            backend.place.leave()

    async def _admitted(
        self, connection: Connection, backend: Backend, content: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Wait until the request may use the whole context: what it asks for is not read here, so
        it cannot be counted.

        Its body is read before, so that a client that leaves while it waits is noticed.
        """
        body = await connection.whole(content)
        await backend.place.address()
        connection.record.waits_for = backend.place.waits_for
        with connection.record.waiting():
            await backend.place.admit(Claim())
        return _once(body)

    async def _opened(
        self,
        connection: Connection,
        backend: Backend,
        path: str,
        content: AsyncIterator[bytes] | None,
    ) -> httpx.Response:
        address = await backend.place.address()
        # What has no body can be asked twice.
        send = self._house.http.ask if content is None else self._house.http.send
        try:
            return await send(self._request(connection, backend, address, path, content))
        except Unavailable:  # nobody was there, so nothing of the body has been read
            if (other := await backend.place.after(address)) is None:
                raise
        return await send(self._request(connection, backend, other, path, content))

    async def _wish(
        self, method: str, content: AsyncIterator[bytes] | None
    ) -> tuple[Wish | None, AsyncIterator[bytes] | None]:
        """Where there are several models, the body says which one is meant.

        A request that only looks loads and keeps none.
        """
        known = self._house.place.models()
        if known is None or method in _SAFE:
            return None, content
        name, content = (
            await model_in(content) if content is not None and len(known) > 1 else (None, content)
        )
        return Wish(name), content

    async def _pass(self, connection: Connection, response: httpx.Response) -> bool:
        """Whether the answer came to its end."""
        try:
            if not 200 <= response.status_code < 600:
                raise BadAnswer(
                    f"the backend answered with a status that means nothing here: "
                    f"{response.status_code}"
                )
            await connection.start(
                response.status_code, headers.to_client(response.status_code, response.headers.raw)
            )
            async for piece in self._house.http.pieces(response):
                await connection.write(piece)
        except BridgeError as error:
            if not connection.started:
                raise
            connection.record.note = error.brief
            # Without an end: the server closes the connection, and the client sees that something
            # is missing.
            return False
        finally:
            await response.aclose()
        await connection.end()
        return True


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
