"""Default options of a model file, and the sizes that llama-server derives from its flags."""

from collections.abc import Mapping
from typing import TypedDict

from proxy.llama_server.config.gguf import GgufHeader
from proxy.llama_server.config.options import Build

EMBEDDING_LIMIT = 8192  # tokens per text
PROMPT_CACHE = 8192  # MiB, llama-server's default
CONVERSATIONS = 2  # for the cache in RAM: a main agent and a sub-agent take turns
_AUTO_SLOTS = 4  # llama-server's default
_BYTES: Mapping[str, float] = {
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Bytes per element of the KV cache, by type."""


class CacheSize(TypedDict):
    context: int | None
    shares_cache: bool
    cache: int | None


def cache_size(build: Build, flags: tuple[str, ...]) -> CacheSize:
    """Return the context per conversation and the size of the KV cache that `flags` lead to."""
    size, slots, most = (
        _whole(build.value(flags, key)) for key in ("ctx-size", "parallel", "kv-unified-per-slot")
    )
    shared = build.value(flags, "kv-unified") is not None or slots in (0, -1)
    slots = slots if slots > 0 else _AUTO_SLOTS
    size = size or most * slots
    context = min(size if shared else size // slots, most or size)
    return {"context": context or None, "shares_cache": shared, "cache": size or None}


def for_embeddings(header: GgufHeader) -> dict[str, str]:
    """Return the options that an embedding model needs.

    A batch must hold a whole text, because the engine cannot split one.
    """
    size = str(min(header.context or EMBEDDING_LIMIT, EMBEDDING_LIMIT))
    pooling = {} if f"{header.architecture}.pooling_type" in header.values else {"pooling": "mean"}
    return {"embeddings": "true", "batch-size": size, "ubatch-size": size} | pooling


def conversation_size(header: GgufHeader, build: Build, flags: tuple[str, ...]) -> int | None:
    """Return the MiB that a conversation of full length takes in the KV cache, None if unknown."""
    context = cache_size(build, flags)["context"]
    layers, heads, width = (
        header.layers,
        _list(header, "attention.head_count"),
        _number(header, "embedding_length"),
    )
    if not (context and layers and heads and width):
        return None
    kv_heads = _list(header, "attention.head_count_kv") or heads
    if max(kv_heads) > max(heads):
        return None  # the length of an array that was too long to keep
    keys = _number(header, "attention.key_length") or width // max(heads)
    values = _number(header, "attention.value_length") or width // max(heads)
    in_all_layers = sum(kv_heads) if len(kv_heads) > 1 else kv_heads[0] * layers
    key_bytes, value_bytes = (
        _BYTES.get(build.value(flags, f"cache-type-{one}") or "f16", 2) for one in "kv"
    )
    return int(context * in_all_layers * (keys * key_bytes + values * value_bytes)) >> 20


def prompt_cache(free: int | None, model: int, conversation: int | None) -> int | None:
    """Return the MiB for `cache-ram`, or None if llama-server's default is right.

    The result is a quarter of the memory that is free beside the model, or up to half of it if two
    conversations need that.
    """
    needed = CONVERSATIONS * (conversation or 0)
    available = max(free - model, 0) if free is not None else PROMPT_CACHE * 4
    limit = max(min(PROMPT_CACHE, available // 4), min(needed, available // 2))
    return None if limit == PROMPT_CACHE else limit


def prompt_cache_warning(name: str, limit: int, conversation: int | None) -> str | None:
    """Return a warning if the cache in RAM cannot hold two conversations, or None.

    The limits 0 (no cache) and -1 (no limit) cause no warning.
    """
    if not conversation or limit <= 0 or limit >= CONVERSATIONS * conversation:
        return None
    return (
        f"{name}: cache-ram = {limit:,} MiB holds {limit // conversation} conversation(s) of "
        f"full length, which take {conversation:,} MiB "
        "each. When agents take turns, whole prompts are processed again; "
        "use a smaller `ctx-size` or `cache-type-k = q8_0`"
    )


def _whole(value: str | None) -> int:
    return int(float(value)) if value is not None else 0


def _number(header: GgufHeader, key: str) -> int:
    found = header.values.get(f"{header.architecture}.{key}")
    return found if isinstance(found, int) and found > 0 else 0


def _list(header: GgufHeader, key: str) -> list[int]:
    """Return the positive numbers of a key: one number for all layers, or one per layer."""
    found = header.values.get(f"{header.architecture}.{key}")
    numbers = found if isinstance(found, list) else [found]
    return [number for number in numbers if isinstance(number, int) and number > 0]
