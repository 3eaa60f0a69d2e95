"""Logging as text or JSON, with a status line at the bottom of a terminal."""

import asyncio
import datetime
import json
import logging
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TextIO

from proxy.printable import printable_lines
from proxy.settings import Settings

_ERASE = "\r\x1b[2K"
# The messages of these loggers may contain headers, and so API keys.
_MUTED = ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio")


class JsonFormatter(logging.Formatter):
    """Formats each record as one line of JSON, with all figures of a request in its log line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(
            timespec="milliseconds"
        )
        line = {"time": at, "level": record.levelname.lower(), "message": record.getMessage()}
        figures = dict(getattr(record, "figures", {}))
        if "id" in figures:
            line["request_id"] = figures.pop("id")
        if record.exc_info:
            figures["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line | figures, ensure_ascii=False, separators=(",", ":"))
        return text if text.isprintable() else json.dumps(line | figures, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """Formats records as text, with further lines indented and control characters escaped.

    Control characters could repaint the terminal or forge log lines.
    """

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record)).replace("\n", "\n    ")


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes records above a status line, which is repainted after each record."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._status_line = ""

    def show_status(self, text: str) -> None:
        text = "".join(letter for letter in text if letter.isprintable())[
            : shutil.get_terminal_size().columns - 1
        ]
        if text != self._status_line:
            self._status_line = text
            self.stream.write(_ERASE + text)
            self.stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        if self._status_line:
            self.stream.write(_ERASE)
        super().emit(record)
        self.stream.write(self._status_line)
        self.stream.flush()


def configure(settings: Settings, stream: TextIO | None = None) -> Callable[[str], None]:
    """Install the log handler, and return a function that sets the terminal's status line."""
    stream = stream or sys.stderr
    terminal = TerminalHandler(stream)
    terminal.setFormatter(
        JsonFormatter()
        if settings.log_format == "json"
        else TextFormatter("%(asctime)s %(message)s", datefmt="%H:%M:%S")
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[terminal])
    for name in _MUTED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return (
        terminal.show_status
        if stream.isatty() and settings.log_format == "text"
        else lambda _: None
    )


async def show_loading(
    opened: Awaitable[None],
    show: Callable[[str], None],
    reason: Callable[[], str | None],
    every: float = 1.0,
) -> None:
    """Await `opened`, and meanwhile show `reason()` and the elapsed seconds as the status line."""
    loading, began = asyncio.ensure_future(opened), time.monotonic()
    try:
        while not (await asyncio.wait({loading}, timeout=every))[0]:
            show(f"{reason() or 'loading'}, {time.monotonic() - began:.0f} s")
    finally:
        loading.cancel()
