"""HTTP as bytes come in: uvicorn's protocol, with an end to what it takes from a client that nobody
has let in yet.

A head has a size, a number of headers and a time in which it must be complete; so has what stands
between the pieces of a body (chunk extensions, trailers). What the parser refuses is answered in
the one shape of every error.

Every state of a connection ends in time: before a request and after an answer, inside a head,
inside a body that is not read any more. A body that is read has a time of its own
(connection.BODY_SECONDS), and so has an answer.
"""

import asyncio
import socket
from typing import Any

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from proxy.completion.request_stats import RequestStats, new_request_id
from proxy.errors import BadRequest, BridgeError, HeadTooLarge, MethodNotAllowed, RequestTimeout
from proxy.web.middleware import ALLOWED_METHODS

HEAD_LIMIT = 64 * 1024
HEADERS_LIMIT = 100
HEAD_TIMEOUT = 20.0
IDLE_TIMEOUT = 5  # between two requests
# In which a client may go on sending a body that was refused; cut at once, it would not read why.
UNREAD_TIMEOUT = 5.0
MAX_PIPELINED = 8
PIPELINED_BODY_LIMIT = 64 * 1024  # of a request that waits behind another
_WRITE_BUFFER = 4 * 1024  # per client; the rest waits with the backend
# Left alone it grows to megabytes, all of it written for a client that reads nothing.
_KERNEL_BUFFER = 64 * 1024


def uvicorn_config(application: Any) -> uvicorn.Config:
    """How uvicorn serves: it adds nothing of its own to an answer, believes no header of a
    proxy, and logs nothing.
    """
    return uvicorn.Config(
        application,
        http=LimitedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_TIMEOUT,
        timeout_graceful_shutdown=1,
    )


class LimitedHttpProtocol(HttpToolsProtocol):
    """Counts what has come since the parser last got anywhere with it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unparsed_bytes = 0
        self._in_head = True
        self._in_message = False
        # uvicorn's own `cycle` is the last that came.
        self._running: RequestResponseCycle | None = None
        self._refusal: BridgeError | None = None
        # The answer after those that are due; then the connection ends.
        self._pending_refusal: BridgeError | None = None
        self._timeout: asyncio.TimerHandle | None = None

    # As uvicorn has it: nothing else comes.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(_WRITE_BUFFER)
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER
        )
        self._set_timeout(HEAD_TIMEOUT, self._head_timed_out)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timeout()
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = self._is_responding
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._pending_refusal is not None:
            return  # nothing more is read, but that the client leaves is noticed
        self._unparsed_bytes += len(data)
        self._feed(data)
        if self._unparsed_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        """As uvicorn does.

        Who offers another protocol (Java's client: HTTP/2) is answered in this one, as if he had
        not: the parser would take his body for the first words of that protocol."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            head = [
                b"%b %b HTTP/%b"
                % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
            ]
            head += [
                b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"
            ]
            self.parser = httptools.HttpRequestParser(self)
            # What comes after the last request is nobody's.
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(b"\r\n".join([*head, b"", data[offer.args[0] :]]))
        except httptools.HttpParserError:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()  # blank lines are no reason to wait longer
        self._in_head = self._in_message = True
        self._set_timeout(HEAD_TIMEOUT, self._head_timed_out)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes after the body speaks for nobody
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._cancel_timeout()
        self._unparsed_bytes = 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_LIMIT or len(self.headers) > HEADERS_LIMIT:
            self._refusal = _too_large()
        elif not self.url.startswith(b"/"):
            self._refusal = BadRequest(
                "what is asked for must be written as a path; this server is no proxy to other "
                "places"
            )
        elif self.parser.get_method() == b"CONNECT":
            self._refusal = MethodNotAllowed(
                "this server opens no tunnels", headers={"allow": ALLOWED_METHODS}
            )
        elif self.parser.get_http_version() not in (
            "1.0",
            "1.1",
        ) or self._transfer_codings() not in (
            [],
            [b"chunked"],
        ):
            self._refusal = BadRequest(
                "this server speaks HTTP/1.1, and of the transfer codings only `chunked`"
            )
        elif len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = BadRequest(
                f"more than {MAX_PIPELINED} requests were sent at once over one connection"
            )
        if self._refusal is not None:
            raise self._refusal  # the parser stops, and asks for an answer below
        if self.parser.should_upgrade():
            return  # it is read once more, without the offer
        self._in_head = False
        super().on_headers_complete()
        # uvicorn stops behind a request that waits, and would not see the client leave.
        self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(
            cycle, _without_chunks(cycle, app) if cycle.scope["http_version"] == "1.0" else app
        )

    @property
    def _is_responding(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _transfer_codings(self) -> list[bytes]:
        return [
            value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"
        ]

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        if (
            self.cycle is not self._running
            and len(self.cycle.body) + len(body) > PIPELINED_BODY_LIMIT
        ):
            self._refusal = BadRequest(
                f"a request behind one that is not answered yet may have a body of "
                f"{PIPELINED_BODY_LIMIT:,} bytes"
            )
            raise self._refusal
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._unparsed_bytes = 0
        self._in_message = False
        self._cancel_timeout()
        super().on_message_complete()
        if not self._is_responding:  # it was answered before all of it had come
            self._set_timeout(IDLE_TIMEOUT, self.transport.close)

    def on_response_complete(self) -> None:
        super().on_response_complete()  # begins with the next request, or waits for one
        if self._is_responding or self.transport.is_closing():
            return
        if self._pending_refusal is not None:
            self._respond_and_close(self._pending_refusal)
        elif self._in_message:
            self._unset_keepalive_if_required()
            if not self._in_head:
                self._set_timeout(UNREAD_TIMEOUT, self.transport.close)

    def send_400_response(self, _msg: str) -> None:
        self._refuse(self._refusal or BadRequest("this is no HTTP request that has one meaning"))

    def _set_timeout(self, seconds: float, otherwise: Any) -> None:
        self._cancel_timeout()
        self._timeout = self.loop.call_later(seconds, otherwise)

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _head_timed_out(self) -> None:
        if self._unparsed_bytes or self._in_message:
            self._refuse(
                RequestTimeout(
                    f"the head of the request was not complete after {HEAD_TIMEOUT:.0f} seconds"
                )
            )
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, error: BridgeError) -> None:
        """The connection ends with this, behind the answers to the requests before it."""
        in_body = self._in_message and not self._in_head
        if in_body and self.cycle is not self._running:
            self.pipeline.popleft()  # the newest: it is this one
        if self._is_responding and not (in_body and self.cycle is self._running):
            self._cancel_timeout()
            self._pending_refusal = error
        else:
            self._respond_and_close(error)

    def _respond_and_close(self, error: BridgeError) -> None:
        """An answer to the same request that has begun already is cut: nothing can be said in
        the middle of it.
        """
        stats = RequestStats(new_request_id(), "-", "-", status=error.status, error=error.summary)
        running = self._running if self._is_responding else None
        if running is None or not running.response_started:
            body = orjson.dumps(stats.with_request_id(error.body()))
            head = (
                b"content-type: application/json\r\nconnection: close\r\nx-request-id: %b\r\n"
                b"content-length: %d\r\n"
            )
            more = b"".join(
                b"%b: %b\r\n" % (name.encode(), value.encode())
                for name, value in error.headers.items()
            )
            self.transport.write(
                STATUS_LINE[error.status]
                + head % (stats.id.encode(), len(body))
                + more
                + b"\r\n"
                + body
            )
        if running is not None:
            running.disconnected = True
            running.message_event.set()
        self.transport.close()
        stats.write()


def _without_chunks(cycle: RequestResponseCycle, app: Any) -> Any:
    """Wrap an application for a client of HTTP/1.0: an answer without a length ends with the
    connection, not with a chunk.
    """

    async def run(scope: Any, receive: Any, send: Any) -> None:
        ends_with_connection = False

        async def sends(message: Any) -> None:
            nonlocal ends_with_connection
            if message["type"] == "http.response.start":
                ends_with_connection = all(
                    name != b"content-length" for name, _ in message["headers"]
                )
                cycle.chunked_encoding = False if ends_with_connection else None
            elif ends_with_connection:
                # Whatever comes is right.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, sends)

    return run


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(
        f"the head of a request may have {HEADERS_LIMIT} headers and {HEAD_LIMIT:,} bytes"
    )
