"""Server-sent events as bytes: decoding what a backend sends, encoding what we send.

SSE lines end in CR, LF or CRLF only. httpx's line decoder also splits at U+2028 and other
characters that may appear inside JSON.
"""

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
LINE_LIMIT = 4 * 1024 * 1024


class LineTooLong(ValueError):
    """A line, or the lines of one event, are longer than LINE_LIMIT, unlike those of any server."""


def event(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


class Decoder:
    """Takes bytes in pieces of any size, and returns the payload of each complete event."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []  # pieces of the line without an end
        self._length = 0
        self._after_cr = False
        self._data: list[bytes] = []  # data lines of the event without an end
        self._size = 0  # of these, in bytes

    def feed(self, data: bytes) -> list[bytes]:
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, newline, rest = data.partition(b"\n")
        self._length += len(first)
        if self._length > LINE_LIMIT:
            raise LineTooLong(f"a line of more than {LINE_LIMIT:,} bytes")
        self._unfinished.append(first)
        if not newline:
            return []
        *lines, unfinished = rest.split(b"\n")
        lines.insert(0, b"".join(self._unfinished))
        self._unfinished, self._length = [unfinished], len(unfinished)
        return [payload for line in lines if (payload := self._line(line)) is not None]

    def close(self) -> list[bytes]:
        """Return the last event, whose final blank line some servers leave out."""
        last = b"".join(self._unfinished)
        self._unfinished, self._length = [], 0
        return [payload for line in (last, b"") if (payload := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            payload = b"\n".join(self._data)
            self._data, self._size = [], 0
            return payload or None
        field, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data" and colon:
            self._size += len(line)
            if self._size > LINE_LIMIT:
                raise LineTooLong(f"an event of more than {LINE_LIMIT:,} bytes")
            self._data.append(value)
        elif field == b"error" and value.startswith(b"{"):
            # llama.cpp before 2026 sends errors in a field of their own.
            self._data.append(b'{"error":' + value + b"}")
        return None
