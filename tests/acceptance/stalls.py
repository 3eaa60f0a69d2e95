"""`python -m tests.acceptance.stalls`: llama-bridge, with a clock on every step of its event loop.

A step is what runs between two moments at which the loop may serve other clients: one turn of a
task, or one callback of a connection. What counts is the time that the thread of the loop has
computed, so that a machine that is busy with other things changes nothing. A garbage collection
meets whatever runs: it grows with the number of all objects, is measured by itself and only shown.
The longest step so far lies as JSON in the file that STALLS names.
"""

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import FrameType
from typing import Any

BOUND = 50.0  # ms: what no client and no backend may take at once
TOLERATED = 3 * BOUND  # on a machine that does other things too, the same work takes longer
_SHORT = 5.0  # ms: what is not worth writing down
_SAMPLED = 0.005
_FRAMES = 12
NOTHING: dict[str, Any] = {"ms": 0.0, "what": "-", "stack": [], "gc": 0.0}


class Clock:
    """The longest step, and where it was at the last look of a second thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._longest = dict(NOTHING)
        self._thread = threading.get_ident()
        self._began: float | None = None
        self._stack: list[str] = []
        self._collecting = self._collected = 0.0
        gc.callbacks.append(self._collects)

    def _collects(self, phase: str, _: dict[str, int]) -> None:
        if threading.get_ident() == self._thread:
            if phase == "start":
                self._collecting = time.thread_time()
            else:
                self._collected += time.thread_time() - self._collecting

    def measured(self, what: str, step: Callable[[], Any]) -> Any:
        if self._began is not None:
            return step()  # inside of another
        self._stack, self._collected = [], 0.0
        self._began = began = time.thread_time()
        try:
            return step()
        finally:
            self._began = None
            taken = (time.thread_time() - began - self._collected) * 1000
            # Without the file, measuring begins again.
            if taken > _SHORT and (taken > self._longest["ms"] or not self._file.exists()):
                self._longest = self._longest | {"ms": taken, "what": what, "stack": self._stack}
                self._file.write_text(json.dumps(self._longest))
            if self._collected * 1000 > max(self._longest["gc"], _SHORT):
                self._longest["gc"] = self._collected * 1000
                self._file.write_text(json.dumps(self._longest))

    def watch(self) -> None:
        while True:
            time.sleep(_SAMPLED)
            if (
                self._began is not None
                and (frame := sys._current_frames().get(self._thread)) is not None
            ):
                self._stack = _shown(frame)


def _shown(frame: FrameType | None) -> list[str]:
    """Without the lines of source, which `traceback` would read and keep: the memory of this
    process is measured too.
    """
    frames: list[str] = []
    while frame is not None and len(frames) < _FRAMES:
        code = frame.f_code
        if code.co_filename != __file__:
            frames.append(f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return frames[::-1]


class _Steps(Coroutine[Any, Any, Any]):
    """A coroutine, with a clock on each of its steps."""

    __slots__ = ("_clock", "_inner", "_what")

    def __init__(self, inner: Coroutine[Any, Any, Any], clock: Clock) -> None:
        self._inner, self._clock, self._what = (
            inner,
            clock,
            getattr(inner, "__qualname__", "a task"),
        )

    def send(self, value: Any) -> Any:
        return self._clock.measured(self._what, lambda: self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        return self._clock.measured(self._what, lambda: self._inner.throw(*error))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("a task sends to it")


def install(file: Path) -> None:
    # Only here: who reads what was measured needs none of it.
    from proxy.cli.serve import Server
    from proxy.web.http_protocol import LimitedHttpProtocol
    from proxy.web.inflight import InflightRequests

    started = Server.startup

    async def startup(server: Server, sockets: Any = None) -> None:
        clock = Clock(file)
        threading.Thread(target=clock.watch, daemon=True).start()
        loop = asyncio.get_running_loop()
        loop.set_task_factory(
            lambda loop, inner, **named: asyncio.Task(_Steps(inner, clock), loop=loop, **named)
        )
        for owner, name in (
            (LimitedHttpProtocol, "data_received"),
            (LimitedHttpProtocol, "eof_received"),
            (LimitedHttpProtocol, "connection_lost"),
            (InflightRequests, "report_waiting"),
        ):
            setattr(owner, name, _timed(getattr(owner, name), clock))
        await started(server, sockets)

    # It is replaced on purpose.
    Server.startup = startup  # type: ignore[method-assign, assignment]


def _timed(method: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    return lambda *arguments: clock.measured(method.__qualname__, lambda: method(*arguments))


class Stalls:
    """What a server under this clock has measured so far."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "stalls.json"
        self.environment = {"STALLS": str(self._file)}
        self.command = [sys.executable, "-m", "tests.acceptance.stalls"]

    def begin(self) -> None:
        """What was measured so far counts no more."""
        self._file.unlink(missing_ok=True)

    def bounded(self, what: str) -> None:
        found = json.loads(self._file.read_text()) if self._file.exists() else NOTHING
        print(
            f"{what}: longest stall of the event loop {found['ms']:.0f} ms, "
            f"in {found['what']}; garbage {found['gc']:.0f} ms"
        )
        assert found["ms"] < TOLERATED, (
            f"{what}: {found['ms']:.0f} ms in {found['what']}\n  " + "\n  ".join(found["stack"])
        )


if __name__ == "__main__":
    from proxy.cli.main import main

    install(Path(os.environ["STALLS"]))
    main()
