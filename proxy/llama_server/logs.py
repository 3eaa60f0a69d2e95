"""What the child writes: its pipes as lines, the last of them kept, and the facts that stand in them."""

import asyncio
import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO

KEPT = 500
TOLD = 50  # so many of them go into an error
PROCESSOR = ("CPU", "BLAS", "AMX")
LONGEST = 65536  # a line without an end is cut here

_DEVICE = re.compile(r"- (?P<name>\w+)\s*: (?P<what>.+) \(\d+ MiB, \d+ MiB free\)\s*$")
_USING = re.compile(r"using device (?P<name>\w+) \((?P<what>[^()]*(?:\([^()]*\)[^()]*)*)\)")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers")


@dataclass(frozen=True)
class Facts:
    """What the engine said about itself; None is what it did not say."""

    device: str | None = None  # "CPU", "CUDA0", "Metal" …
    device_name: str | None = None
    offloaded: int | None = None
    layers: int | None = None
    context: int | None = None  # of one slot
    slots: int | None = None

    @property
    def on_cpu(self) -> bool:
        return self.offloaded == 0 or self.device in PROCESSOR

    def told(self, line: str) -> "Facts":
        if found := _OFFLOADED.search(line):
            return replace(self, offloaded=int(found[1]), layers=int(found[2]))
        found = _DEVICE.search(line) or _USING.search(line)
        if found and self.device in (None, *PROCESSOR):  # the first that is no CPU does the work
            return replace(self, device=found["name"], device_name=found["what"])
        return self


class Log:
    """The last lines of one life of the child."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT)
        self.written = 0  # of all times, also those that are not kept any more
        self.facts = Facts()
        self._on_line = on_line

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.written += 1
        self.facts = self.facts.told(line)
        self._on_line(line)

    def since(self, written: int) -> list[str]:
        """What was written since `written` was asked; nothing where some of it is not kept any more."""
        new = self.written - written
        return list(self.lines)[len(self.lines) - new :] if 0 <= new <= len(self.lines) else []

    @property
    def tail(self) -> list[str]:
        return list(self.lines)[-TOLD:]


class Lines:
    """Reads a pipe line by line, as it comes. Always: a child whose pipe is full stands still."""

    def __init__(self, pipe: IO[bytes], each: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipe, self._each, self._rest = pipe, each, b""
        self.ended = asyncio.Event()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self._read)

    def _read(self) -> None:
        data = os.read(self._pipe.fileno(), LONGEST)
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._line(line)

    def close(self) -> None:
        if self.ended.is_set():
            return
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        if self._rest:
            self._line(self._rest)
        self.ended.set()

    def _line(self, line: bytes) -> None:
        self._each(line.decode(errors="replace").rstrip("\r"))
