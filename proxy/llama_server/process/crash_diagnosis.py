"""Diagnosis of an exited process from its log and exit code: the cause, and how to fix it."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

_GPU = r"cuda|rocm|hip|vulkan|metal|sycl|device memory|vram"
_NO_MEMORY = (
    r"out of memory|outofdevicememory|insufficient memory|failed to allocate|unable to allocate|"
    r"\w*alloc failed|bad_alloc"
)


@dataclass(frozen=True)
class CrashCause:
    pattern: re.Pattern[str]
    name: str  # {0} is what the pattern captured
    fix: str


def _cause(pattern: str, name: str, fix: str) -> CrashCause:
    return CrashCause(re.compile(pattern, re.IGNORECASE), name, fix)


# The first match anywhere in the last lines wins: an earlier line explains a later one.
CAUSES = (
    _cause(
        r"the engine cannot be started: (.+)",
        "the engine cannot be started: {0}",
        "Set LLAMA_SERVER to a llama-server built for this machine.",
    ),
    _cause(
        rf"(?:{_GPU}).*(?:{_NO_MEMORY})|(?:{_NO_MEMORY}).*(?:{_GPU})",
        "out of GPU memory",
        "In llama-server.conf, halve `ctx-size`, lower `n-gpu-layers`, set "
        "`cache-type-k = q8_0` or, for a mixture of experts, "
        "`n-cpu-moe`; or use a smaller model, or close other programs that use the GPU.",
    ),
    _cause(
        _NO_MEMORY,
        "out of memory",
        (
            "In llama-server.conf, halve `ctx-size` or set `cache-ram = 0`; "
            "or use a smaller model, or close other programs."
        ),
    ),
    _cause(
        r"invalid device: (\S+)",
        "no usable GPU: this llama-server has no device {0}",
        (
            "`llama-server --list-devices` shows its devices; use a build for this GPU, "
            "or remove `device`."
        ),
    ),
    _cause(
        r"(?:invalid|unknown) argument: (\S+)|error while handling argument \"([^\"]+)",
        "bad flag {0}",
        (
            "This build of llama-server does not support it: see `llama-server --help`, "
            "and remove the key from llama-server.conf."
        ),
    ),
    _cause(
        r"(?:invalid|expected) value for argument: (.+)",
        "bad value for the flag {0}",
        "See `llama-server --help`.",
    ),
    _cause(
        r"couldn't bind|address already in use",
        "port in use",
        "The next start uses another port.",
    ),
    _cause(
        r"failed to open (?:GGUF file )?'?(.+?)'?:? ['(]?No such file or directory",
        "model file missing: {0}",
        "Check the path of the model.",
    ),
    _cause(
        r"failed to open (?:GGUF file )?'?(.+?)'?:? ['(]?Permission denied",
        "model file not readable: {0}",
        "Check its permissions.",
    ),
    _cause(
        r"unknown (?:model|pre-tokenizer) (?:architecture|type): (\S+)",
        "unknown model architecture {0}",
        "The model is newer than this build of llama.cpp: update llama-server.",
    ),
    _cause(
        (
            r"not within the file bounds|invalid magic|corrupted or incomplete|"
            r"failed to read (?:magic|tensor|header|key-value)"
        ),
        "model file damaged",
        "The GGUF file is incomplete: download it again.",
    ),
    _cause(
        r"while loading shared libraries: ([^:]+)",
        "library missing: {0}",
        "Install it, or use a llama-server built for this machine.",
    ),
    _cause(
        r"(GGML_ASSERT\(.+\)) failed",
        "assertion failed in the engine: {0}",
        (
            "An option is not supported, or the engine has a bug: "
            "revert the last change in llama-server.conf, or update llama-server."
        ),
    ),
    _cause(
        r"chat template (?:is not supported|parsing error)",
        "bad chat template",
        (
            "Remove `chat-template` and `chat-template-file` to use the model's own template. "
            "If that one is broken, set `chat-template-file` to a working one."
        ),
    ),
    _cause(
        r"failed to load model",
        "model not loadable",
        "See the lines below; most often the file is damaged or too new.",
    ),
)
MEMORY_CAUSES = ("out of GPU memory", "out of memory")
_WANTED = re.compile(r"(?:allocating|attempted to allocate|projected to use) +([\d.]+) (?:MiB|MB)")
_FREE = re.compile(r"(?:, |vs\. |- )([\d.]+) MiB (?:of )?free")
SIGNALS = {number.value: number.name for number in signal.Signals}
_FAULTS = {
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGSEGV,
    signal.SIGSYS,
}
# a wrapper shell reports a signal as this exit code plus its number
_BY_SHELL = 128
SIGNAL_HINTS: dict[int, str] = {
    signal.SIGKILL: (
        "Unless you did that, the system was out of memory: use a smaller context or model."
    ),
    signal.SIGILL: "This llama-server was built for another processor: use a build for this one.",
}


def crashed(exit_code: int | None) -> bool:
    """Return whether the engine ended because of its own fault.

    False for a signal from outside (including the kernel's out-of-memory killer), for an orderly
    exit, and if nothing is known.
    """
    if not exit_code:
        return False
    if exit_code < 0:
        return -exit_code in _FAULTS
    by_shell = exit_code - _BY_SHELL
    return by_shell in _FAULTS or by_shell not in SIGNALS


def diagnose(lines: Sequence[str], exit_code: int | None) -> str:
    for cause in CAUSES:
        for line in lines:
            if found := cause.pattern.search(line):
                return (
                    f"{cause.name.format(*filter(None, found.groups()))}. "
                    f"{_memory_figures(lines) if cause.name in MEMORY_CAUSES else ''}{cause.fix}"
                )
    if exit_code is not None and exit_code < 0:
        return _by_signal(-exit_code)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
    code = "without an exit code" if exit_code is None else f"with code {exit_code}"
    return f"ended {code}: {last}"


def _memory_figures(lines: Sequence[str]) -> str:
    """Return the memory figures that the log contains: `Wanted: 9,000 MiB, free: 7,900 MiB. `."""
    wanted = [float(found[1]) for line in lines if (found := _WANTED.search(line))]
    free = [
        float(found[1]) for line in lines if (found := _FREE.search(line)) and "CPU" not in line
    ]
    figures = [
        f"{what}: {figure:,.0f} MiB"
        for what, figure in (
            ("wanted", max(wanted, default=None)),
            ("free", max(free, default=None)),
        )
        if figure
    ]
    return f"{', '.join(figures).capitalize()}. ".replace("mib", "MiB") if figures else ""


def _by_signal(number: int) -> str:
    name = SIGNALS.get(number, f"signal {number}")
    return f"killed by {name}. {SIGNAL_HINTS.get(number, '')}".rstrip()
