"""What the child writes: its pipes as lines, the last of them kept, and the facts that stand in
them.
"""

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO

KEPT_LINES = 500
RING_LINES = 2000  # lines of a model
TAIL_LINES = 50  # so many of them go into an error
CPU_DEVICES = ("CPU", "BLAS", "AMX")
LINE_LIMIT = 65536  # a line without an end is cut here

_DEVICE = re.compile(r"- (?P<name>\w+)\s*: (?P<what>.+) \(\d+ MiB, \d+ MiB free\)\s*$")
_USING = re.compile(r"using device (?P<name>\w+) \((?P<what>[^()]*(?:\([^()]*\)[^()]*)*)\)")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers")
_BUFFER = re.compile(
    r"(?:\b(?P<device>\w{1,64}) +)?(?:model|KV|RS|compute|"
    r"output) +buffer size = +(?P<size>[\d.]+) MiB"
)
_HOST_BUFFER = re.compile(r"(?:CPU|BLAS|AMX)|.*_Host$")
_NO_GPU = re.compile(r"no usable GPU found")
_INFO_LINE = re.compile(r"\d+(?:\.\d+)+ [ID] ")


def error_lines(lines: Sequence[str]) -> Sequence[str]:
    """Without those that are marked as mere information, where others are left."""
    return [line for line in lines if not _INFO_LINE.match(line)] or lines


def last_lines(lines: Sequence[str]) -> str:
    """Return what goes below an error: the lines that explain it, or nothing where there are
    none.
    """
    return "\nThe last lines of its log:\n" + "\n".join(error_lines(lines)) if lines else ""


@dataclass(frozen=True)
class EngineInfo:
    """What the engine said about itself; None is what it did not say."""

    device: str | None = None  # "CPU", "CUDA0", "Metal" …
    device_name: str | None = None
    offloaded: int | None = None
    layers: int | None = None
    context: int | None = None  # of one slot
    slots: int | None = None
    memory: float = 0  # MiB, of all buffers that it reported
    gpu_memory: float = 0  # MiB of these that are on a GPU
    layers_ignored: bool = False  # layers were asked for, and this build cannot use a GPU

    @property
    def on_cpu(self) -> bool:
        return self.offloaded == 0 or self.device in CPU_DEVICES

    @property
    def runs_on(self) -> str | None:
        """The device that does the work: an engine built for a GPU names it also where no layer
        went there.
        """
        return "CPU" if self.on_cpu else self.device

    @property
    def summary(self) -> str:
        """In words: device, layers, context of a slot, memory."""
        layers = (
            f"{self.offloaded} of {self.layers} layers on the GPU"
            if self.layers is not None
            else None
        )
        context = (
            f"context {self.context:,} in {self.slots} slots"
            if self.context and self.slots
            else None
        )
        memory = f"{self.memory:,.0f} MiB" if self.memory else None
        if memory and 0 < round(self.gpu_memory) < round(self.memory):
            memory += f" ({self.gpu_memory:,.0f} MiB of it on the GPU)"
        return ", ".join(
            part for part in (self.runs_on or "device unknown", layers, context, memory) if part
        )

    def with_line(self, line: str) -> "EngineInfo":
        if found := _OFFLOADED.search(line):
            return replace(self, offloaded=int(found[1]), layers=int(found[2]))
        if found := _BUFFER.search(line):
            on_gpu = found["device"] is not None and not _HOST_BUFFER.match(found["device"])
            size = float(found["size"])
            return replace(
                self, memory=self.memory + size, gpu_memory=self.gpu_memory + on_gpu * size
            )
        if _NO_GPU.search(line):
            return replace(self, layers_ignored=True)
        found = _DEVICE.search(line) or _USING.search(line)
        if found and self.device in (None, *CPU_DEVICES):  # the first that is no CPU does the work
            return replace(self, device=found["name"], device_name=found["what"])
        return self


class ProcessLog:
    """The last lines of one life of the child."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.position = 0  # of all times, also those that are not kept any more
        self.engine_info = EngineInfo()
        self._on_line = on_line

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.position += 1
        self.engine_info = self.engine_info.with_line(line)
        self._on_line(line)

    def since(self, position: int) -> list[str]:
        """What was written since `written` was asked; nothing where some of it is not kept any
        more.
        """
        new = self.position - position
        return list(self.lines)[len(self.lines) - new :] if 0 <= new <= len(self.lines) else []

    @property
    def tail(self) -> list[str]:
        return list(self.lines)[-TAIL_LINES:]


class LogRing:
    """The last lines of a model over all its lives, ours among the child's, and whoever follows
    them.
    """

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=RING_LINES)
        self._followers: set[asyncio.Queue[str]] = set()

    def add(self, line: str) -> None:
        self.lines.append(line)
        for follower in self._followers:
            if follower.full():
                # Who reads too slowly misses the oldest lines, and holds up nobody.
                follower.get_nowait()
            follower.put_nowait(line)

    async def follow(self) -> AsyncGenerator[str, None]:
        """What is there, then each line as it comes."""
        queue: asyncio.Queue[str] = asyncio.Queue(RING_LINES)
        for line in self.lines:
            queue.put_nowait(line)
        self._followers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._followers.discard(queue)


class LineReader:
    """Reads a pipe line by line, as it comes. Always: a child whose pipe is full stands still."""

    def __init__(self, pipe: IO[bytes], on_line: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipe, self._on_line, self._rest = pipe, on_line, b""
        self.ended = asyncio.Event()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self._read)

    def _read(self) -> None:
        data = os.read(self._pipe.fileno(), LINE_LIMIT)
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
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
        self._on_line(line.decode(errors="replace").rstrip("\r"))
