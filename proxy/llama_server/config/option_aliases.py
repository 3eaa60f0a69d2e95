"""What options were called before, elsewhere, or by mistake: each old word with what it has become,
or why it cannot be.

Only looked at where this build of llama-server does not know the word itself, except for `OURS` and
`READ_ANEW`.
"""

from collections.abc import Callable, Mapping

Said = tuple[str, str] | None  # an option and its value; None: nothing has to be said
Rule = Callable[[str], Said]

TRUE, FALSE = (
    frozenset({"", "true", "yes", "on", "1", "enabled"}),
    frozenset({"false", "no", "off", "0", "disabled"}),
)


def _now(name: str) -> Rule:
    return lambda value: (name, value)


def _when(name: str, *, true: str | None, false: str | None) -> Rule:
    def rule(value: str) -> Said:
        meant = true if value.lower() in TRUE else false
        return (name, meant) if meant is not None else None

    return rule


def _gone(reason: str) -> Rule:
    def rule(_: str) -> Said:
        raise ValueError(reason)

    return rule


def _cache_type(name: str) -> Rule:
    """llama-cpp-python takes ggml's numbers."""
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
    "leave it out: the model's own template is used, and how the model writes calls is "
    "recognised (or say `dialect`)"
)
_PYTHON = "llama-server has no such option; it belongs to llama-cpp-python. Leave it out"

OLD: Mapping[str, Rule] = {
    # llama.cpp itself, in older builds
    "mlock": _when("load-mode", true="mmap+mlock", false=None),
    "no-mmap": _when("load-mode", true="none", false="mmap"),
    "mmap": _when("load-mode", true="mmap", false="none"),
    "draft": _now("spec-draft-n-max"),
    "draft-n": _now("spec-draft-n-max"),
    "draft-max": _now("spec-draft-n-max"),
    "draft-min": _now("spec-draft-n-min"),
    "draft-n-min": _now("spec-draft-n-min"),
    "model-draft": _now("spec-draft-model"),
    "gpu-layers-draft": _now("spec-draft-ngl"),
    "n-gpu-layers-draft": _now("spec-draft-ngl"),
    "ngld": _now("spec-draft-ngl"),
    "md": _now("spec-draft-model"),
    "embedding": _now("embeddings"),
    "n-gpu-layers": _now("gpu-layers"),
    "gpu-layers": _now("n-gpu-layers"),
    "ngl": _now("n-gpu-layers"),
    "c": _now("ctx-size"),
    "b": _now("batch-size"),
    "ub": _now("ubatch-size"),
    "t": _now("threads"),
    "np": _now("parallel"),
    "fa": _now("flash-attn"),
    "ctk": _now("cache-type-k"),
    "ctv": _now("cache-type-v"),
    "sps": _now("slot-prompt-similarity"),
    "cram": _now("cache-ram"),
    "temperature": _now("temp"),
    "n-predict": _now("predict"),
    "max-tokens": _now("predict"),
    "reasoning-effort": _gone(
        "this build cannot set it; clients send `reasoning_effort` themselves"
    ),
    "defrag-thold": _gone("it has no effect any more; leave it out"),
    "grp-attn-n": _gone(
        "self-extend was removed from llama.cpp; use the `rope-` and `yarn-` options"
    ),
    "cache-reuse-min": _now("cache-reuse"),
    # llama-cpp-python
    "n-ctx": _now("ctx-size"),
    "n-batch": _now("batch-size"),
    "n-ubatch": _now("ubatch-size"),
    "n-threads": _now("threads"),
    "n-threads-batch": _now("threads-batch"),
    "n-keep": _now("keep"),
    "type-k": _cache_type("cache-type-k"),
    "type-v": _cache_type("cache-type-v"),
    "use-mmap": _when("load-mode", true="mmap", false="none"),
    "use-mlock": _when("load-mode", true="mmap+mlock", false=None),
    "offload-kqv": _now("kv-offload"),
    "draft-model": _now("spec-draft-model"),
    "draft-model-num-pred-tokens": _now("spec-draft-n-max"),
    "last-n-tokens-size": _now("repeat-last-n"),
    "clip-model-path": _now("mmproj"),
    "lora-path": _now("lora"),
    "hf-model-repo-id": _now("hf-repo"),
    "chat-format": _gone(_TEMPLATE),
    "logits-all": _gone(_PYTHON),
    "vocab-only": _gone(_PYTHON),
    "mul-mat-q": _gone(_PYTHON),
    "cache": _gone(f"{_PYTHON}; llama-server caches prompts by itself (`cache-ram`)"),
    "cache-type": _gone(f"{_PYTHON}. Probably meant: cache-type-k and cache-type-v"),
    "cache-size": _gone(f"{_PYTHON}. Probably meant: cache-ram (MiB)"),
    "hf-tokenizer-config-path": _gone(_TEMPLATE),
    "hf-pretrained-model-name-or-path": _gone(_TEMPLATE),
    "interrupt-requests": _gone(_PYTHON),
    "verbose": _gone("it writes prompts into the log; take `log-verbosity = 4`"),
}

_WE_CHOOSE = "llama-bridge chooses it itself; clients meet PROXY_HOST and PROXY_PORT"
_WE_READ = "llama-bridge reads the server's log as it is; `llama-bridge logs` shows it"
_ONE_SERVER = "llama-bridge starts one llama-server per model itself: each section is a model"
OURS: Mapping[str, str] = {
    "host": _WE_CHOOSE,
    "port": _WE_CHOOSE,
    "api-prefix": _WE_CHOOSE,
    "reuse-port": _WE_CHOOSE,
    "api-key": "llama-bridge makes a new one at each start; the keys of clients are PROXY_API_KEYS",
    "api-key-file": (
        "llama-bridge makes a key at each start; the keys of clients are PROXY_API_KEYS"
    ),
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
    "models-dir": f"{_ONE_SERVER}; a folder is named by LLAMA_MODEL",
    "models-preset": _ONE_SERVER,
    "models-autoload": f"{_ONE_SERVER}; see `preload`",
    "sleep-idle-seconds": "llama-bridge does that itself: `idle-unload`, in minutes",
    "load-on-startup": "here it is called `preload`",
    "help": "it starts no server",
    "version": "it starts no server",
    "list-devices": "it starts no server",
}

# Never names of templates that llama.cpp carries, and yet often written.
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
TEMPLATE_REASON = f"{{value}} is no template that llama.cpp carries; {_TEMPLATE}"
