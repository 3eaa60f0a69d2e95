"""Checks whether a model uses the GPU of this machine and has a large enough context.

llama.cpp reports neither.
"""

import sys
from dataclasses import dataclass
from importlib import metadata

from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.launch import WHEEL, LaunchSpec
from proxy.llama_server.process.logs import EngineInfo

SMALL_SLOT = 16384  # tokens

RELEASES = "https://github.com/ggml-org/llama.cpp/releases"
WHEEL_INDEX = "https://xorbitsai.github.io/xllamacpp/whl"
WHEEL_BUILDS = {
    "an NVIDIA GPU": "cu128",
    "a GPU (WSL2)": "cu128",
    "an AMD GPU": "vulkan",
    "a GPU": "vulkan",
}
"""Build of the wheel for each kind of GPU; for an Apple GPU, the ordinary wheel is right."""


@dataclass(frozen=True)
class GpuProblem:
    """A problem, how to fix it, and the command if one command is enough."""

    what: str
    fix: str
    command: str | None = None

    def __str__(self) -> str:
        return f"{self.what} {self.fix}"


def gpu_problem(
    launch: LaunchSpec, info: EngineInfo, *, required: bool = False
) -> GpuProblem | None:
    """Return why the model runs on the CPU although a GPU is present, requested or `required`."""
    gpu, layers = visible_gpu(), requested_layers(launch)
    if not (info.on_cpu or info.layers_ignored):
        return None
    if layers == "0" and (gpu or required):
        what = f"This machine has {gpu}" if gpu else "A GPU is required"
        return GpuProblem(
            f"{what}, but `n-gpu-layers = 0` keeps the model on the CPU.",
            "Remove that line from llama-server.conf.",
        )
    if gpu:
        command = install_command(gpu) if launch.engine is None else None
        what = (
            f"This machine has {gpu}, but the engine runs on the CPU: "
            f"answers are many times slower."
        )
        return GpuProblem(what, _fix(launch, command), command)
    if layers not in (None, "0", "auto") or info.layers_ignored or required:
        what = (
            "A GPU is required" if required else "GPU layers were requested, but none was offloaded"
        )
        return GpuProblem(
            f"{what}: the engine runs on the CPU, and no GPU device is visible.",
            _fix(launch, None),
        )
    return None


def requested_layers(launch: LaunchSpec) -> str | None:
    """Return the value of `n-gpu-layers`, under any of its names."""
    for flag, value in zip(launch.flags, launch.flags[1:], strict=False):
        if flag in ("--n-gpu-layers", "--gpu-layers", "-ngl"):
            return value
    return None


def install_command(gpu: str) -> str | None:
    """Return the command that installs the wheel's build for this GPU, or None if there is none."""
    build = next((build for name, build in WHEEL_BUILDS.items() if gpu.startswith(name)), None)
    if build is None:
        return None
    version = metadata.version(WHEEL)
    return (
        f"{sys.executable} -m pip install --force-reinstall --no-deps --index-url "
        f"{WHEEL_INDEX}/{build} {WHEEL}=={version}"
    )


def small_context_warning(name: str, context: int | None) -> str | None:
    if not context or context >= SMALL_SLOT:
        return None
    return (
        f"{name} has a context of only {context:,} tokens per request, "
        f"but a coding agent's first request takes 7,000 to 10,000; "
        "set `ctx-size = 32768` or a smaller `parallel` in llama-server.conf"
    )


def _fix(launch: LaunchSpec, command: str | None) -> str:
    if command:
        return (
            f"Set LLAMA_SERVER to a llama-server built for it ({RELEASES}), or install the "
            f"engine's build for it: {command}"
        )
    if launch.engine is None:
        return (
            f"Set LLAMA_SERVER to a llama-server built for the GPU ({RELEASES}; macOS: "
            f"`brew install llama.cpp`)."
        )
    return (
        f"`{launch.engine} --list-devices` shows its devices; use a build for this GPU "
        f"({RELEASES})."
    )
