"""What follows from a model's file: the size of a conversation, and the cache in RAM that holds
two of them.
"""

from pathlib import Path
from typing import Any

import pytest

from proxy.llama_server.config import model_config as one_model
from proxy.llama_server.config import model_defaults
from proxy.llama_server.config.gguf import GgufHeader
from proxy.llama_server.config.options import wheel_build
from tests.llama_server.config.test_catalog import Home, home, only
from tests.llama_server.config.test_gguf import LLAMA, made

__all__ = ["home"]
BUILD = wheel_build()
# 32 layers with 8 KV heads of 128: 128 KiB a token in f16.
LARGE = {
    "block_count": 32,
    "embedding_length": 4096,
    "attention.head_count": 32,
    "attention.head_count_kv": 8,
}


def header(**values: Any) -> GgufHeader:
    named = {f"llama.{name.replace('__', '.')}": value for name, value in values.items()}
    return GgufHeader(Path("m.gguf"), 0, {"general.architecture": "llama"} | named)


@pytest.mark.parametrize(
    ("more", "flags", "size"),
    [
        ({}, "", 4096),
        ({}, "--parallel 2 --kv-unified", 4096),
        ({}, "--parallel 2", 2048),
        ({}, "--cache-type-k q8_0 --cache-type-v q8_0", 2176),
        ({}, "--cache-type-k q8_0", 3136),
        # A hybrid: no KV cache in most layers.
        ({"attention.head_count_kv": [8] * 8 + [0] * 24}, "", 1024),
        ({"attention.key_length": 256, "attention.value_length": 256}, "", 8192),
        ({"attention.head_count_kv": None}, "", 16384),
        ({"attention.head_count": None}, "", None),
        ({"attention.head_count_kv": 80}, "", None),
        ({"embedding_length": "x"}, "", None),
    ],
)
def test_the_size_of_a_conversation(more: dict[str, Any], flags: str, size: int | None) -> None:
    values = {key.replace(".", "__"): value for key, value in (LARGE | more).items()}
    found = model_defaults.conversation_size(
        header(**values), BUILD, ("--ctx-size", "32768", *flags.split())
    )
    assert found == size


@pytest.mark.parametrize(
    ("free", "model", "conversation", "limit"),
    [
        (None, 0, None, None),
        (64_000, 0, 1000, None),
        (64_000, 0, 5000, 10_000),  # two conversations
        (64_000, 40_000, 5000, 10_000),  # beside the model
        (64_000, 50_000, 5000, 7000),  # as much as leaves room
        (8000, 0, None, 2000),
        (8000, 9000, 5000, 0),
    ],
)
def test_the_cache_in_ram_leaves_room_for_the_model(
    free: int | None, model: int, conversation: int | None, limit: int | None
) -> None:
    assert model_defaults.prompt_cache(free, model, conversation) == limit


@pytest.mark.parametrize(
    ("limit", "conversation", "said"),
    [
        (9000, 4096, None),
        (8192, 4096, None),
        (8000, 4096, "holds 1 conversation(s)"),
        (0, 4096, None),
        (-1, 4096, None),
        (1, None, None),
    ],
)
def test_a_cache_that_is_too_small_is_reported(
    limit: int, conversation: int | None, said: str | None
) -> None:
    found = model_defaults.prompt_cache_warning("m", limit, conversation)
    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize(
    ("text", "free", "gpu", "flag", "noted"),
    [
        ("ctx-size = 32768", 64_000, None, None, False),
        ("ctx-size = 65536", 64_000, None, "16384", False),
        ("ctx-size = 65536", 20_000, None, "10000", True),
        ("ctx-size = 65536\ncache-ram = 4096", 64_000, None, "4096", True),
        ("ctx-size = 65536\ncache-ram = 0", 64_000, None, "0", False),
    ],
)
def test_the_limit_of_the_cache_and_the_note_about_it(
    home: Home,
    text: str,
    free: int,
    gpu: str | None,
    flag: str | None,
    noted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(one_model, "memory_at_start", lambda: free)
    monkeypatch.setattr(one_model, "visible_gpu", lambda: gpu)
    made(home.path / "big.gguf", LLAMA | {f"llama.{key}": value for key, value in LARGE.items()})
    found = home.make(f"[big]\nmodel = big.gguf\n{text}\n")
    assert BUILD.value(only(found).launch.flags, "cache-ram") == flag
    assert bool(found.notes) is noted
