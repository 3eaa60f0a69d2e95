"""uvicorn's HTTP protocol, with limits on the memory and time that unauthenticated clients use.

A request head is limited in size, number of headers and time; chunk extensions and trailers are
limited in size. Requests that the parser rejects get an error response in the usual JSON shape.

Every state of a connection has a timeout: idle, inside a head, and inside a body that is no longer
read. A body that is being read has its own timeout (`connection.BODY_TIMEOUT`).
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
IDLE_TIMEOUT = 5  # seconds between two requests
# Seconds in which a client may continue to send a refused body. If the connection were closed
# immediately, the client could not read the error.
UNREAD_TIMEOUT = 5.0
MAX_PIPELINED = 8
PIPELINED_BODY_LIMIT = 64 * 1024  # bytes; for a request that waits behind another one
_WRITE_BUFFER = 4 * 1024  # bytes per client; a full buffer pauses reading from the backend
# Bytes; by default, the kernel lets the send buffer of a slow client grow to megabytes.
_KERNEL_BUFFER = 64 * 1024


def uvicorn_config(application: Any) -> uvicorn.Config:
    """Return uvicorn's configuration: no access log, no extra or forwarded headers."""
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
    """uvicorn protocol that limits request heads, pipelined requests and idle time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unparsed_bytes = 0
        self._in_head = True
        self._in_message = False
        # The request that is being answered; uvicorn's `cycle` is the newest one.
        self._running: RequestResponseCycle | None = None
        self._refusal: BridgeError | None = None
        # Sent after the responses to earlier requests; then the connection is closed.
        self._pending_refusal: BridgeError | None = None
        self._timeout: asyncio.TimerHandle | None = None

    # uvicorn always passes an asyncio.Transport.
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
            return  # ignore the data, but notice when the client disconnects
        self._unparsed_bytes += len(data)
        self._feed(data)
        if self._unparsed_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        """Pass `data` to the parser, and ignore an offer to upgrade the protocol.

        Java's client offers HTTP/2, for example. The parser would take the body for data of the new
        protocol, so a new parser gets the head again without the `Upgrade` header.
        """
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
            # Ignore bytes after a request with `Connection: close`.
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(b"\r\n".join([*head, b"", data[offer.args[0] :]]))
        except httptools.HttpParserError:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # Blank lines between requests must not extend the idle timeout.
        self._unset_keepalive_if_required()
        self._in_head = self._in_message = True
        self._set_timeout(HEAD_TIMEOUT, self._head_timed_out)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # ignore trailers after the body
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._cancel_timeout()
        self._unparsed_bytes = 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_LIMIT or len(self.headers) > HEADERS_LIMIT:
            self._refusal = _too_large()
        elif not self.url.startswith(b"/"):
            self._refusal = BadRequest(
                "the request target must be a path; this server is not a forward proxy"
            )
        elif self.parser.get_method() == b"CONNECT":
            self._refusal = MethodNotAllowed(
                "CONNECT is not supported", headers={"allow": ALLOWED_METHODS}
            )
        elif self.parser.get_http_version() not in (
            "1.0",
            "1.1",
        ) or self._transfer_codings() not in (
            [],
            [b"chunked"],
        ):
            self._refusal = BadRequest(
                "unsupported HTTP version or transfer coding; use HTTP/1.1, and `chunked` or none"
            )
        elif len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = BadRequest(
                f"more than {MAX_PIPELINED} pipelined requests on one connection"
            )
        if self._refusal is not None:
            raise self._refusal  # the parser stops, and `send_400_response` sends the error
        if self.parser.should_upgrade():
            return  # the head is fed again without the upgrade offer
        self._in_head = False
        super().on_headers_complete()
        # uvicorn pauses reading while a pipelined request waits, and would miss a disconnect.
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
                f"the body of a pipelined request may have at most {PIPELINED_BODY_LIMIT:,} bytes"
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
        if not self._is_responding:  # the response was complete before the request body
            self._set_timeout(IDLE_TIMEOUT, self.transport.close)

    def on_response_complete(self) -> None:
        super().on_response_complete()  # starts the next pipelined request, if there is one
        if self._is_responding or self.transport.is_closing():
            return
        if self._pending_refusal is not None:
            self._respond_and_close(self._pending_refusal)
        elif self._in_message:
            self._unset_keepalive_if_required()
            if not self._in_head:
                self._set_timeout(UNREAD_TIMEOUT, self.transport.close)

    def send_400_response(self, _msg: str) -> None:
        self._refuse(self._refusal or BadRequest("malformed HTTP request"))

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
                    f"the request headers were not complete after {HEAD_TIMEOUT:.0f} seconds"
                )
            )
        else:
            self.transport.close()  # no request has started

    def _refuse(self, error: BridgeError) -> None:
        """Respond with `error` once earlier requests are answered, then close the connection."""
        in_body = self._in_message and not self._in_head
        if in_body and self.cycle is not self._running:
            self.pipeline.popleft()  # the newest entry is this request
        if self._is_responding and not (in_body and self.cycle is self._running):
            self._cancel_timeout()
            self._pending_refusal = error
        else:
            self._respond_and_close(error)

    def _respond_and_close(self, error: BridgeError) -> None:
        """Send `error` and close the connection.

        If the response to the same request has started, the connection is only closed, because an
        error cannot be sent inside a response.
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
    """Wrap `app` for an HTTP/1.0 client, which does not understand chunked encoding.

    The end of the connection marks the end of a response without content-length.
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
                # uvicorn checks the length of every body; accept any.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, sends)

    return run


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(
        f"request headers too large; the limit is {HEADERS_LIMIT} headers and {HEAD_LIMIT:,} bytes"
    )
