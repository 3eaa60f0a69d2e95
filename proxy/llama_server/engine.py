"""The C++ server of the xllamacpp wheel as a program that takes llama-server's flags: what runs where there is no llama-server.

Run as a file, with nothing of ours imported: it is a child process like any other llama-server. Only public attributes of
the wheel are set, so that a flag is known if and only if it stands in the table.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Four slots that share one cache, as llama-server does by itself: each may use the whole context.
SLOTS = -1


@dataclass(frozen=True)
class Attribute:
    """Where a flag's value goes. A switch has no hint, and a second flag `--no-…` that turns it round."""

    path: str
    kind: Callable[[str], object]
    hint: str = "N"
    words: tuple[str, ...] = ()
    inverted: bool = False

    @property
    def is_switch(self) -> bool:
        return not self.hint

    def put(self, parameters: Any, value: object) -> None:
        *parents, name = self.path.split(".")
        for parent in parents:
            parameters = getattr(parameters, parent)
        setattr(parameters, name, value)


def _switch(path: str) -> Attribute:
    return Attribute(path, bool, "")


def _inverted(path: str) -> Attribute:
    return Attribute(path, bool, "", inverted=True)


def _number(path: str) -> Attribute:
    return Attribute(path, int)


def _decimal(path: str) -> Attribute:
    return Attribute(path, float)


def _text(path: str, hint: str = "TEXT") -> Attribute:
    return Attribute(path, str, hint)


def _enum(path: str, kind: str, prefix: str, words: Mapping[str, str]) -> Attribute:
    def member(value: str) -> object:
        import xllamacpp

        if value not in words:
            raise ValueError(value)
        return getattr(getattr(xllamacpp, kind), prefix + words[value])

    return Attribute(path, member, "WORD", tuple(words))


def _same(*words: str) -> dict[str, str]:
    return {word: word.upper().replace("-", "_") for word in words}


def _layers(path: str) -> Attribute:
    return Attribute(path, lambda value: {"auto": -1, "all": 999}[value] if value in ("auto", "all") else int(value), "N", ("auto", "all"))


def _three(path: str) -> Attribute:
    return Attribute(path, lambda value: {"auto": -1, "off": 0, "on": 1}[value], "WORD", ("on", "off", "auto"))


def _spec_types(value: str) -> list[object]:
    import xllamacpp

    kinds = xllamacpp.common_speculative_type
    return [getattr(kinds, f"COMMON_SPECULATIVE_TYPE_{word.strip().upper().replace('-', '_')}") for word in value.split(",")]


_CACHE = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0", "q4_1": "Q4_1", "iq4_nl": "IQ4_NL", "q5_0": "Q5_0"}
_FLASH = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
_LOAD = {"auto": "AUTO", "none": "NONE", "mmap": "MMAP", "mlock": "MLOCK", "mmap+mlock": "MMAP_MLOCK", "dio": "DIRECT_IO"}

# `--the-name other names` → where it goes.
OPTIONS: dict[str, Attribute] = {
    "--model -m": _text("model.path", "FILE"),
    "--alias -a": Attribute("model_alias", lambda value: {value}, "TEXT"),
    "--host": Attribute("hostnames", lambda value: [value], "TEXT"),
    "--port": _number("port"),
    "--ctx-size -c": _number("n_ctx"),
    "--gpu-layers --n-gpu-layers -ngl": _layers("n_gpu_layers"),
    "--fit": _switch("fit_params"),
    "--fit-ctx": _number("fit_params_min_ctx"),
    "--batch-size -b": _number("n_batch"),
    "--ubatch-size -ub": _number("n_ubatch"),
    "--parallel -np": _number("n_parallel"),
    "--kv-unified -kvu": _switch("kv_unified"),
    "--cont-batching -cb": _switch("cont_batching"),
    "--threads -t": _number("cpuparams.n_threads"),
    "--threads-batch -tb": _number("cpuparams_batch.n_threads"),
    "--threads-http": _number("n_threads_http"),
    "--flash-attn -fa": _enum("flash_attn_type", "llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_", _FLASH),
    "--cache-type-k -ctk": _enum("cache_type_k", "ggml_type", "GGML_TYPE_", _CACHE),
    "--cache-type-v -ctv": _enum("cache_type_v", "ggml_type", "GGML_TYPE_", _CACHE),
    "--kv-offload": _inverted("no_kv_offload"),
    "--op-offload": _inverted("no_op_offload"),
    "--load-mode -lm": _enum("load_mode", "llama_load_mode", "LLAMA_LOAD_MODE_", _LOAD),
    "--split-mode -sm": _enum("split_mode", "llama_split_mode", "LLAMA_SPLIT_MODE_", _same("none", "layer", "row", "tensor")),
    "--main-gpu -mg": _number("main_gpu"),
    "--check-tensors": _switch("check_tensors"),
    "--warmup": _switch("warmup"),
    "--swa-full": _switch("swa_full"),
    "--context-shift": _switch("ctx_shift"),
    "--keep": _number("n_keep"),
    "--predict --n-predict -n": _number("n_predict"),
    "--rope-freq-base": _decimal("rope_freq_base"),
    "--rope-freq-scale": _decimal("rope_freq_scale"),
    "--yarn-orig-ctx": _number("yarn_orig_ctx"),
    "--jinja": _switch("use_jinja"),
    "--chat-template": _text("chat_template", "NAME"),
    "--chat-template-file": Attribute("chat_template", lambda value: Path(value).read_text(encoding="utf-8"), "FILE"),
    "--chat-template-kwargs": Attribute(
        "default_template_kwargs", lambda value: {name: json.dumps(said) for name, said in json.loads(value).items()}, "JSON"
    ),
    "--reasoning-format": _enum(
        "reasoning_format", "common_reasoning_format", "COMMON_REASONING_FORMAT_", _same("none", "auto", "deepseek", "deepseek-legacy")
    ),
    "--reasoning": _three("enable_reasoning"),
    "--reasoning-budget": _number("sampling.reasoning_budget_tokens"),
    "--skip-chat-parsing": _switch("force_pure_content_parser"),
    "--prefill-assistant": _switch("prefill_assistant"),
    "--mmproj": _text("mmproj.path", "FILE"),
    "--embeddings --embedding": _switch("embedding"),
    "--pooling": _enum("pooling_type", "llama_pooling_type", "LLAMA_POOLING_TYPE_", _same("none", "mean", "cls", "last", "rank")),
    "--metrics": _switch("endpoint_metrics"),
    "--props": _switch("endpoint_props"),
    "--slots": _switch("endpoint_slots"),
    "--slot-save-path": Attribute("slot_save_path", lambda value: value.rstrip("/") + "/", "FOLDER"),  # the wheel joins it as it is
    "--slot-prompt-similarity -sps": _decimal("slot_prompt_similarity"),
    "--cache-prompt": _switch("cache_prompt"),
    "--cache-reuse": _number("n_cache_reuse"),
    "--cache-ram -cram": _number("cache_ram_mib"),
    "--cache-idle-slots": _switch("cache_idle_slots"),
    "--ctx-checkpoints": _number("n_ctx_checkpoints"),
    "--sse-ping-interval": _number("sse_ping_interval"),
    "--log-verbosity --verbosity -lv": _number("verbosity"),
    "--spec-type": Attribute("speculative.types", _spec_types, "TYPES"),
    "--spec-draft-model --model-draft -md": _text("speculative.draft.mparams.path", "FILE"),
    "--spec-draft-n-max": _number("speculative.draft.n_max"),
    "--spec-draft-n-min": _number("speculative.draft.n_min"),
    "--spec-draft-p-min": _decimal("speculative.draft.p_min"),
    "--spec-draft-ngl": _layers("speculative.draft.n_gpu_layers"),
    "--spec-ngram-simple-size-n": _number("speculative.ngram_simple.size_n"),
    "--spec-ngram-simple-size-m": _number("speculative.ngram_simple.size_m"),
    "--spec-ngram-simple-min-hits": _number("speculative.ngram_simple.min_hits"),
    "--spec-ngram-mod-n-match": _number("speculative.ngram_mod.n_match"),
    "--spec-ngram-mod-n-max": _number("speculative.ngram_mod.n_max"),
    "--spec-ngram-mod-n-min": _number("speculative.ngram_mod.n_min"),
    "--seed -s": _number("sampling.seed"),
    "--temp --temperature": _decimal("sampling.temp"),
    "--top-k": _number("sampling.top_k"),
    "--top-p": _decimal("sampling.top_p"),
    "--min-p": _decimal("sampling.min_p"),
    "--repeat-last-n": _number("sampling.penalty_last_n"),
    "--repeat-penalty": _decimal("sampling.penalty_repeat"),
    "--presence-penalty": _decimal("sampling.penalty_present"),
    "--frequency-penalty": _decimal("sampling.penalty_freq"),
}


def _flags() -> dict[str, tuple[Attribute, bool]]:
    """Each flag with its attribute, and whether a switch is on with it."""
    found = {flag: (attribute, not attribute.inverted) for names, attribute in OPTIONS.items() for flag in names.split()}
    off = {f"--no-{names.split()[0][2:]}": (attribute, attribute.inverted) for names, attribute in OPTIONS.items() if attribute.is_switch}
    return found | off


def help_text() -> str:
    """In the form of llama-server's own, so that one reader understands both. `4: trace` tells what is logged."""
    lines = ["llama-server of the xllamacpp wheel; verbosity 4: trace", ""]
    for names, attribute in OPTIONS.items():
        flag, *others = names.split()
        turned = [f"--no-{flag[2:]}"] if attribute.is_switch else []
        words = f"  allowed values: {', '.join(attribute.words)}" if attribute.words and attribute.hint != "N" else ""
        numbers = "".join(f"  '{word}'" for word in attribute.words) if attribute.hint == "N" else ""
        lines.append(f"{', '.join([*others, flag, *turned])}{f' {attribute.hint}' if attribute.hint else ''}{words}{numbers}")
    return "\n".join(lines)


def configure(parameters: Any, arguments: Sequence[str], key: str) -> None:
    parameters.n_parallel = SLOTS
    parameters.api_keys = [key] if key else []
    left, flags = iter(arguments), _flags()
    for flag in left:
        if flag not in flags:
            raise ValueError(f"invalid argument: {flag}")
        attribute, on = flags[flag]
        if attribute.is_switch:
            attribute.put(parameters, on)
            continue
        value = next(left, None)
        if value is None:
            raise ValueError(f"expected value for argument: {flag}")
        try:
            attribute.put(parameters, attribute.kind(value))
        except (ValueError, LookupError, AttributeError, TypeError, OSError):
            raise ValueError(f"invalid value for argument: {flag} {value}") from None


def devices(found: Sequence[dict[str, Any]]) -> list[str]:
    """In llama-server's own words, so that one reader understands both."""
    size = {name: [int(device[name]) // 2**20 for device in found] for name in ("memory_total", "memory_free")}
    rows = zip(found, size["memory_total"], size["memory_free"], strict=True)
    return ["device_info:", *(f"  - {row['name']:<8}: {row['description']} ({total} MiB, {free} MiB free)" for row, total, free in rows)]


def main(arguments: Sequence[str]) -> None:
    if "--help" in arguments:
        print(help_text())
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # like SIGTERM: this process has nothing to tidy up
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    try:
        configure(parameters, arguments, os.environ.get("LLAMA_API_KEY", ""))
        print(*devices(xllamacpp.get_device_info()), sep="\n", file=sys.stderr, flush=True)
        _serving = xllamacpp.Server(parameters)  # returns when the model is loaded, and serves while it is referred to
    except (ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
