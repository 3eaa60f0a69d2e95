"""Who answers: how to ask each kind of server, and what is odd about its reply.

One file each, one line here.
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

# In the order in which they are tried; the last one takes all.
KINDS: tuple[type[Backend], ...] = (Zen, LlamaCpp, Vllm, LlamaCppPython, LmStudio, Ollama, Generic)


def canonical_kind(wanted: str) -> str:
    """The name of a kind, however it is written: llamacpp, LM Studio, llama-cpp-python.

    ValueError names those that exist.
    """
    for name in ("auto", *(kind.kind for kind in KINDS)):
        if _letters(name) == _letters(wanted):
            return name
    raise ValueError(
        f"{wanted!r} is no kind of server that is known here: auto, "
        f"{', '.join(kind.kind for kind in KINDS)}"
    )


def kinds_at(address: BackendAddress, wanted: str) -> tuple[type[Backend], ...]:
    """Those that may answer there.

    More than one must be found out by asking; zen is known by its name and never probed.
    """
    if wanted == "auto":
        return (Zen,) if address.is_zen else KINDS
    return tuple(kind for kind in KINDS if kind.kind == wanted)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())
