"""Does the model run where it could, and is there room for what is asked? Said loudly, with what cures it."""

from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.launch import Launch
from proxy.llama_server.logs import Facts

SMALL_SLOT = 16384  # tokens


def wrong_place(launch: Launch, facts: Facts) -> str | None:
    """A graphics card is there and the engine does not use it, or layers were asked for in vain: llama.cpp says nothing of it."""
    gpu = visible_gpu()
    if gpu and facts.on_cpu:
        return f"This machine has {gpu}, but the engine runs on the CPU: answers will be many times slower. {_cure(launch)}"
    asked = any(flag.endswith("gpu-layers") for flag in launch.flags)
    if facts.layers_ignored or (asked and facts.offloaded == 0):
        return f"Layers were asked to go to the GPU, and none did: the engine runs on the CPU. {_cure(launch)}"
    return None


def small_slot(name: str, context: int | None) -> str | None:
    if not context or context >= SMALL_SLOT:
        return None
    return (
        f"{name} has a context of only {context:,} tokens for each request, and a coding agent's first question takes 7,000 to 10,000: "
        "set `ctx-size = 32768`, or a smaller `parallel`, in llama-server.conf."
    )


def _cure(launch: Launch) -> str:
    if launch.engine is None:
        return "Name a llama-server built for it in LLAMA_SERVER (https://github.com/ggml-org/llama.cpp/releases)."
    return f"`{launch.engine} --list-devices` shows what it can use; take a build made for this GPU."
