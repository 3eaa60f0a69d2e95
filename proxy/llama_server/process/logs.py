"""Log output of a llama-server: reader, buffers of the last lines, and extracted facts."""

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO

KEPT_LINES = 500
RING_LINES = 2000  # per model
TAIL_LINES = 50  # shown in an error
CPU_DEVICES = ("CPU", "BLAS", "AMX")
LINE_LIMIT = 65536  # bytes; a longer line is split

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
    """Return the lines without informational ones, unless there are no others."""
    return [line for line in lines if not _INFO_LINE.match(line)] or lines


def last_lines(lines: Sequence[str]) -> str:
    """Return the text to append to an error: the lines that explain it, or ""."""
    return "\nThe last lines of its log:\n" + "\n".join(error_lines(lines)) if lines else ""


@dataclass(frozen=True)
class EngineInfo:
    """Facts that the engine has logged about itself; None for those that it has not logged."""

    device: str | None = None  # "CPU", "CUDA0", "Metal" …
    device_name: str | None = None
    offloaded: int | None = None
    layers: int | None = None
    context: int | None = None  # per slot
    slots: int | None = None
    memory: float = 0  # MiB, all reported buffers
    gpu_memory: float = 0  # MiB, buffers on a GPU
    layers_ignored: bool = False  # layers were requested, but this build cannot use a GPU

    @property
    def on_cpu(self) -> bool:
        return self.offloaded == 0 or self.device in CPU_DEVICES

    @property
    def runs_on(self) -> str | None:
        """Return the device that does the work.

        An engine built for a GPU names it even if no layer is offloaded.
        """
        return "CPU" if self.on_cpu else self.device

    @property
    def summary(self) -> str:
        """Return a short text with device, offloaded layers, context and memory."""
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
            memory += f" ({self.gpu_memory:,.0f} MiB on the GPU)"
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
        # the first device other than a CPU does the work
        if found and self.device in (None, *CPU_DEVICES):
            return replace(self, device=found["name"], device_name=found["what"])
        return self


class ProcessLog:
    """Buffer of the last log lines of one process."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.position = 0  # lines so far, including those no longer kept
        self.engine_info = EngineInfo()
        self._on_line = on_line

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.position += 1
        self.engine_info = self.engine_info.with_line(line)
        self._on_line(line)

    def since(self, position: int) -> list[str]:
        """Return the lines logged after `position`, or [] if some of them are no longer kept."""
        new = self.position - position
        return list(self.lines)[len(self.lines) - new :] if 0 <= new <= len(self.lines) else []

    @property
    def tail(self) -> list[str]:
        return list(self.lines)[-TAIL_LINES:]


class LogRing:
    """Buffer of the last log lines of a model across restarts; followers receive new lines."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=RING_LINES)
        self._followers: set[asyncio.Queue[str]] = set()

    def add(self, line: str) -> None:
        self.lines.append(line)
        for follower in self._followers:
            if follower.full():
                # A slow follower loses the oldest lines, but delays nothing.
                follower.get_nowait()
            follower.put_nowait(line)

    async def follow(self) -> AsyncGenerator[str, None]:
        """Yield the kept lines, then each new line."""
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
    """Reader that splits a pipe into lines.

    It reads all the time, because a process blocks when its pipe is full.
    """

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
