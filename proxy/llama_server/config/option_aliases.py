"""Former, foreign and mistaken names of options, each with its replacement or why there is none.

Used only if this build of llama-server does not know the name itself, except for `RESERVED`.
"""

from collections.abc import Callable, Mapping

Replacement = tuple[str, str] | None  # an option and its value; None: nothing to pass
AliasRule = Callable[[str], Replacement]

TRUE, FALSE = (
    frozenset({"", "true", "yes", "on", "1", "enabled"}),
    frozenset({"false", "no", "off", "0", "disabled"}),
)


def _renamed(name: str) -> AliasRule:
    return lambda value: (name, value)


def _switch(name: str, *, true: str | None, false: str | None) -> AliasRule:
    def rule(value: str) -> Replacement:
        meant = true if value.lower() in TRUE else false
        return (name, meant) if meant is not None else None

    return rule


def _removed(reason: str) -> AliasRule:
    def rule(_: str) -> Replacement:
        raise ValueError(reason)

    return rule


def _cache_type(name: str) -> AliasRule:
    """Return the rule for a cache type, which llama-cpp-python gives as ggml's number."""
    names = {
        "0": "f32",
        "1": "f16",
        "2": "q4_0",
        "3": "q4_1",
        "6": "q5_0",
        "7": "q5_1",
        "8": "q8_0",
        "20": "iq4_nl",
        "30": "bf16",
    }
    return lambda value: (name, names.get(value, value))


_TEMPLATE = (
    "remove it: the model's own template is used, and the tool-call dialect is "
    "detected (or set by `dialect`)"
)
_PYTHON = "remove it: it is an option of llama-cpp-python, not of llama-server"

ALIASES: Mapping[str, AliasRule] = {
    # Older builds of llama.cpp.
    "mlock": _switch("load-mode", true="mmap+mlock", false=None),
    "no-mmap": _switch("load-mode", true="none", false="mmap"),
    "mmap": _switch("load-mode", true="mmap", false="none"),
    "draft": _renamed("spec-draft-n-max"),
    "draft-n": _renamed("spec-draft-n-max"),
    "draft-max": _renamed("spec-draft-n-max"),
    "draft-min": _renamed("spec-draft-n-min"),
    "draft-n-min": _renamed("spec-draft-n-min"),
    "model-draft": _renamed("spec-draft-model"),
    "gpu-layers-draft": _renamed("spec-draft-ngl"),
    "n-gpu-layers-draft": _renamed("spec-draft-ngl"),
    "ngld": _renamed("spec-draft-ngl"),
    "md": _renamed("spec-draft-model"),
    "embedding": _renamed("embeddings"),
    "n-gpu-layers": _renamed("gpu-layers"),
    "gpu-layers": _renamed("n-gpu-layers"),
    "ngl": _renamed("n-gpu-layers"),
    "c": _renamed("ctx-size"),
    "b": _renamed("batch-size"),
    "ub": _renamed("ubatch-size"),
    "t": _renamed("threads"),
    "np": _renamed("parallel"),
    "fa": _renamed("flash-attn"),
    "ctk": _renamed("cache-type-k"),
    "ctv": _renamed("cache-type-v"),
    "sps": _renamed("slot-prompt-similarity"),
    "cram": _renamed("cache-ram"),
    "temperature": _renamed("temp"),
    "n-predict": _renamed("predict"),
    "max-tokens": _renamed("predict"),
    "reasoning-effort": _removed(
        "this build cannot set it; clients send `reasoning_effort` themselves"
    ),
    "defrag-thold": _removed("it has no effect any more; remove it"),
    "grp-attn-n": _removed(
        "self-extend was removed from llama.cpp; use the `rope-` and `yarn-` options"
    ),
    "cache-reuse-min": _renamed("cache-reuse"),
    # llama-cpp-python
    "n-ctx": _renamed("ctx-size"),
    "n-batch": _renamed("batch-size"),
    "n-ubatch": _renamed("ubatch-size"),
    "n-threads": _renamed("threads"),
    "n-threads-batch": _renamed("threads-batch"),
    "n-keep": _renamed("keep"),
    "type-k": _cache_type("cache-type-k"),
    "type-v": _cache_type("cache-type-v"),
    "use-mmap": _switch("load-mode", true="mmap", false="none"),
    "use-mlock": _switch("load-mode", true="mmap+mlock", false=None),
    "offload-kqv": _renamed("kv-offload"),
    "draft-model": _renamed("spec-draft-model"),
    "draft-model-num-pred-tokens": _renamed("spec-draft-n-max"),
    "last-n-tokens-size": _renamed("repeat-last-n"),
    "clip-model-path": _renamed("mmproj"),
    "lora-path": _renamed("lora"),
    "hf-model-repo-id": _renamed("hf-repo"),
    "chat-format": _removed(_TEMPLATE),
    "logits-all": _removed(_PYTHON),
    "vocab-only": _removed(_PYTHON),
    "mul-mat-q": _removed(_PYTHON),
    "cache": _removed(f"{_PYTHON}; llama-server caches prompts by itself (`cache-ram`)"),
    "cache-type": _removed(f"{_PYTHON}. Did you mean cache-type-k and cache-type-v?"),
    "cache-size": _removed(f"{_PYTHON}. Did you mean cache-ram (MiB)?"),
    "hf-tokenizer-config-path": _removed(_TEMPLATE),
    "hf-pretrained-model-name-or-path": _removed(_TEMPLATE),
    "interrupt-requests": _removed(_PYTHON),
    "verbose": _removed("it logs prompts; use `log-verbosity = 4`"),
}

_WE_CHOOSE = "llama-bridge sets it; clients connect to PROXY_HOST and PROXY_PORT"
_WE_READ = "llama-bridge reads the server's log; `llama-bridge logs` prints it"
_ONE_SERVER = "llama-bridge starts one llama-server per model; add a section for each"
RESERVED: Mapping[str, str] = {
    "host": _WE_CHOOSE,
    "port": _WE_CHOOSE,
    "api-prefix": _WE_CHOOSE,
    "reuse-port": _WE_CHOOSE,
    "api-key": "llama-bridge creates one at each start; clients use PROXY_API_KEYS",
    "api-key-file": ("llama-bridge creates a key at each start; clients use PROXY_API_KEYS"),
    "ssl-key-file": (
        "it listens on loopback only; put a web server such as Caddy in front of llama-bridge"
    ),
    "ssl-cert-file": (
        "it listens on loopback only; put a web server such as Caddy in front of llama-bridge"
    ),
    "alias": "the section's name is the model's name; further names are `aliases`",
    "a": "the section's name is the model's name; further names are `aliases`",
    "model-alias": "the section's name is the model's name; further names are `aliases`",
    "log-disable": _WE_READ,
    "log-file": _WE_READ,
    "log-jsonl": _WE_READ,
    "log-prompts-dir": "prompts are never written to disk by llama-bridge",
    "models-dir": f"{_ONE_SERVER}, or set LLAMA_MODEL to a folder",
    "models-preset": _ONE_SERVER,
    "models-autoload": f"{_ONE_SERVER}; see `preload`",
    "sleep-idle-seconds": "use `idle-unload`, in minutes",
    "load-on-startup": "use `preload`",
    "help": "it starts no server",
    "version": "it starts no server",
    "list-devices": "it starts no server",
}

# Often written, but not names of llama.cpp's built-in templates.
NO_TEMPLATE = frozenset(
    {
        "qwen",
        "qwen2",
        "qwen2.5",
        "qwen3",
        "qwen3-coder",
        "llama-2",
        "llama-3",
        "hermes",
        "jinja",
        "chatml-function-calling",
    }
)
TEMPLATE_REASON = f"{{value}} is not a template of llama.cpp; {_TEMPLATE}"
