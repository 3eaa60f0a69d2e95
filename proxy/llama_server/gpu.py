"""Detection of GPUs from outside the engine, and waiting until GPU memory is free again.

The engine does not report devices that it cannot drive, and the driver frees the memory of a
process only some time after its exit.
"""

import asyncio
import platform
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

# In order of preference: compute drivers before display drivers.
DEVICE_NODES = {
    "nvidia[0-9]*": "an NVIDIA GPU",
    "kfd": "an AMD GPU",
    "dxg": "a GPU (WSL2)",
    "dri/renderD*": "a GPU",
}


def uptime_seconds(uptime: Path = Path("/proc/uptime")) -> float:
    """Return the system's uptime in seconds, or infinity if unknown."""
    try:
        return float(uptime.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return float("inf")


def visible_gpu(devices: Path = Path("/dev"), machine: str = "") -> str | None:
    machine = machine or f"{platform.system()} {platform.machine()}"
    if machine == "Darwin arm64":
        return "an Apple GPU"
    for pattern, name in DEVICE_NODES.items():
        for node in sorted(devices.glob(pattern)):
            return f"{name} ({node})"
    return None


# Each prints the memory in use per GPU.
MEMORY_TOOLS: Mapping[str, tuple[str, ...]] = {
    "nvidia-smi": ("--query-gpu=memory.used", "--format=csv,noheader,nounits"),
    "rocm-smi": ("--showmeminfo", "vram", "--csv"),
}
_MAX_WAIT = 10.0  # seconds; the driver has freed the memory by then, if at all
_POLL_INTERVAL = 0.1
_TOOL_TIMEOUT = 5.0


async def wait_memory_settled() -> None:
    """Wait until the GPU memory in use has stopped falling.

    Returns immediately if the memory in use cannot be read.
    """
    end = time.monotonic() + _MAX_WAIT
    last = await used_memory()
    while last is not None and time.monotonic() < end:
        await asyncio.sleep(_POLL_INTERVAL)
        now = await used_memory()
        if now is None or now >= last:
            return
        last = now


async def used_memory() -> int | None:
    for tool, arguments in MEMORY_TOOLS.items():
        if program := shutil.which(tool):
            return await _query(program, arguments)
    return None


async def _query(program: str, arguments: tuple[str, ...]) -> int | None:
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(_TOOL_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    numbers = [
        int(number)
        for number in re.findall(
            r"(?:^|,)\s*(\d+)\s*$", output.decode(errors="replace"), re.MULTILINE
        )
    ]
    return sum(numbers) if numbers else None
