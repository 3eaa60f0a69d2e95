"""Backends: one file per kind of server with its request format and peculiarities.

A new kind is one file, and one entry in `KINDS`.
"""

import re

from proxy.backends.address import BackendAddress
from proxy.backends.base import Backend
from proxy.backends.generic import Generic
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.llama_cpp_python import LlamaCppPython
from proxy.backends.lm_studio import LmStudio
from proxy.backends.ollama import Ollama
from proxy.backends.vllm import Vllm
from proxy.backends.zen import Zen

# In the order of detection; the last one matches everything.
KINDS: tuple[type[Backend], ...] = (Zen, LlamaCpp, Vllm, LlamaCppPython, LmStudio, Ollama, Generic)


def canonical_kind(wanted: str) -> str:
    """Return the name of a kind, however it is written (llamacpp, LM Studio, llama-cpp-python).

    Raises ValueError with the known names.
    """
    for name in ("auto", *(kind.kind for kind in KINDS)):
        if _letters(name) == _letters(wanted):
            return name
    raise ValueError(
        f"unknown backend kind {wanted!r}; use one of auto, "
        f"{', '.join(kind.kind for kind in KINDS)}"
    )


def kinds_at(address: BackendAddress, wanted: str) -> tuple[type[Backend], ...]:
    """Return the kinds that may be at `address`.

    If there is more than one, detection decides; zen is known by its host and never probed.
    """
    if wanted == "auto":
        return (Zen,) if address.is_zen else KINDS
    return tuple(kind for kind in KINDS if kind.kind == wanted)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())
