"""Everything that is not ours: bytes and headers as they are, both ways, while they come."""

import httpx

from proxy.backends.base import authorized
from proxy.errors import BridgeError, NotFound
from proxy.web import headers
from proxy.web.connection import Connection
from proxy.web.house import House

UPSTREAM = "/upstream"


class PassThrough:
    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, connection: Connection) -> None:
        raw_path: bytes = connection.scope.get("raw_path") or connection.scope["path"].encode()
        path = raw_path.decode("latin-1")
        if path == UPSTREAM or path.startswith(UPSTREAM + "/"):
            path = path.removeprefix(UPSTREAM) or "/"
        await connection.unless_gone(self._answer(connection, await self._request(connection, path)))

    async def _request(self, connection: Connection, path: str) -> httpx.Request:
        house, scope = self._house, connection.scope
        backend = await house.backend()
        address = await house.place.address()
        url = address.of(path)
        if url is None:
            raise NotFound(f"{path} lies outside the API of {address.host}, and nothing else is asked there")
        target = httpx.URL(url)
        if scope["query_string"]:
            target = target.copy_with(raw_path=target.raw_path + b"?" + scope["query_string"])
        sent = authorized(address, headers.to_backend(connection.headers, backend.never_forwarded, house.mark))
        has_body = any(name in (b"content-length", b"transfer-encoding") and value != b"0" for name, value in connection.headers)
        content = connection.pieces() if has_body else None
        return httpx.Request(scope["method"], target, headers=sent, content=content)

    async def _answer(self, connection: Connection, request: httpx.Request) -> None:
        response = await self._house.http.send(request)
        try:
            await connection.start(response.status_code, headers.to_client(response.headers.raw))
            async for piece in self._house.http.pieces(response):
                await connection.write(piece)
        except BridgeError as error:
            connection.record.note = error.message
            return  # without an end: the server closes the connection, and the client sees that something is missing
        finally:
            await response.aclose()
        await connection.end()
