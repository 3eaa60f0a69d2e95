"""HTTP as bytes come in: uvicorn's protocol, with an end to what it takes from a client that nobody has let in yet.

A head has a size, a number of headers and a time in which it must be complete; so has what stands between the pieces of a
body (chunk extensions, trailers). What the parser refuses is answered in the one shape of every error.
"""

import asyncio
import socket
from typing import Any

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from proxy.errors import BadRequest, BridgeError, HalfRequest, HeadTooLarge
from proxy.web.record import Record, new_request_id

HEAD_LIMIT = 64 * 1024
HEADERS_LIMIT = 100
HEAD_SECONDS = 20.0
UNREAD_SECONDS = 5.0  # in which a client may go on sending a body that was refused; cut at once, it would not read why
PIPELINED = 8
_WRITE_BUFFER = 4 * 1024  # per client; the rest waits with the backend
_KERNEL_BUFFER = 64 * 1024  # left alone it grows to megabytes, all of it written for a client that reads nothing


def configuration(application: Any) -> uvicorn.Config:
    """How uvicorn serves: it adds nothing of its own to an answer, believes no header of a proxy, and logs nothing."""
    return uvicorn.Config(
        application,
        http=Wire,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )


class Wire(HttpToolsProtocol):
    """Counts what has come since the parser last got anywhere with it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unused = 0
        self._in_head = True
        self._in_message = False
        self._refusal: BridgeError | None = None
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it: nothing else comes
        super().connection_made(transport)
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER)
        self._due_in(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unused += len(data)
        self._feed(data)
        if self._unused > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        """As uvicorn does. Who offers another protocol (Java's client: HTTP/2) is answered in this one, as if he had not: the parser
        would take his body for the first words of that protocol."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            head = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
            head += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what comes after the last request is nobody's
            self._feed(b"\r\n".join([*head, b"", data[offer.args[0] :]]))
        except httptools.HttpParserError:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._due_in(HEAD_SECONDS, self._head_is_late)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes after the body speaks for nobody
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_time()
        self._unused = 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_LIMIT or len(self.headers) > HEADERS_LIMIT:
            self._refusal = _too_large()
        elif not self.url.startswith(b"/"):
            self._refusal = BadRequest("what is asked for must be written as a path; this server is no proxy to other places")
        elif self.parser.get_http_version() not in ("1.0", "1.1") or self._codings() not in ([], [b"chunked"]):
            self._refusal = BadRequest("this server speaks HTTP/1.1, and of the transfer codings only `chunked`")
        elif len(self.pipeline) >= PIPELINED:
            self._refusal = BadRequest(f"more than {PIPELINED} requests were sent at once over one connection")
        if self._refusal is not None:
            raise self._refusal  # the parser stops, and asks for an answer below
        if self.parser.should_upgrade():
            return  # it is read once more, without the offer
        self._in_head = False
        super().on_headers_complete()

    def _codings(self) -> list[bytes]:
        return [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]

    def on_body(self, body: bytes) -> None:
        self._unused = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._unused = 0
        self._in_message = False
        self._in_time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message and self.cycle.response_complete:
            self._due_in(UNREAD_SECONDS, self.transport.close)

    def send_400_response(self, _msg: str) -> None:
        self._refuse(self._refusal or BadRequest("this is no HTTP request that has one meaning"))

    def _due_in(self, seconds: float, otherwise: Any) -> None:
        self._in_time()
        self._due = self.loop.call_later(seconds, otherwise)

    def _in_time(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _head_is_late(self) -> None:
        if self._unused:
            self._refuse(HalfRequest(f"the head of the request was not complete after {HEAD_SECONDS:.0f} seconds"))
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, error: BridgeError) -> None:
        """The connection ends with this; an answer that is under way is cut, since nobody can tell what belongs to it."""
        record = Record(new_request_id(), "-", "-", status=error.status, note=error.brief)
        running = self.cycle is not None and not self.cycle.response_complete
        if not (running and self.cycle.response_started):
            body = orjson.dumps(record.named(error.body()))
            head = b"content-type: application/json\r\nconnection: close\r\nx-request-id: %b\r\ncontent-length: %d\r\n"
            more = b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in error.headers.items())
            self.transport.write(STATUS_LINE[error.status] + head % (record.id.encode(), len(body)) + more + b"\r\n" + body)
        if running:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        record.write()


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(f"the head of a request may have {HEADERS_LIMIT} headers and {HEAD_LIMIT:,} bytes")
