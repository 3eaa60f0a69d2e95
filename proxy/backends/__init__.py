"""Backends: one class per kind of server that the proxy can talk to.

To add a kind, write its class in a file of its own and add the class to `KINDS`.
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

# Detection tries the kinds in this order; the last one accepts every server.
KINDS: tuple[type[Backend], ...] = (Zen, LlamaCpp, Vllm, LlamaCppPython, LmStudio, Ollama, Generic)


def canonical_kind(wanted: str) -> str:
    """Return the canonical name of a kind: `lm_studio` for "LM Studio" or "lmstudio".

    Case, spaces and punctuation do not matter. An unknown name raises ValueError.
    """
    for name in ("auto", *(kind.kind for kind in KINDS)):
        if _letters(name) == _letters(wanted):
            return name
    raise ValueError(
        f"unknown backend kind {wanted!r}; use one of auto, "
        f"{', '.join(kind.kind for kind in KINDS)}"
    )


def kinds_at(address: BackendAddress, wanted: str) -> tuple[type[Backend], ...]:
    """Return the kinds of server that may run at `address`, given the configured kind `wanted`.

    If there is more than one, the server is probed. Zen is recognized by its host name alone.
    """
    if wanted == "auto":
        return (Zen,) if address.is_zen else KINDS
    return tuple(kind for kind in KINDS if kind.kind == wanted)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())
