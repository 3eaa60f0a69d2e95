"""Is there a graphics card that the engine could use? Looked for from outside: the engine cannot tell what it cannot drive."""

import platform
from pathlib import Path

# In this order: what a driver made for computing is worth more than a display's.
NODES = {"nvidia[0-9]*": "an NVIDIA GPU", "kfd": "an AMD GPU", "dxg": "a GPU (WSL2)", "dri/renderD*": "a GPU"}


def visible_gpu(devices: Path = Path("/dev"), machine: str = "") -> str | None:
    machine = machine or f"{platform.system()} {platform.machine()}"
    if machine == "Darwin arm64":
        return "an Apple GPU"
    for pattern, name in NODES.items():
        for node in sorted(devices.glob(pattern)):
            return f"{name} ({node})"
    return None
