"""Conversion of flag values into public attributes of the xllamacpp wheel.

Like the program that uses it (wheel_server.py), this file imports nothing of the project.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Attribute:
    """Public attribute of the wheel that a flag sets.

    A switch has no hint, and a second flag `--no-…` that inverts it.
    """

    path: str
    kind: Callable[[str], object]
    hint: str = "N"
    words: tuple[str, ...] = ()
    inverted: bool = False

    @property
    def is_switch(self) -> bool:
        return not self.hint

    def put(self, parameters: Any, value: object) -> None:
        owner, name = self._place(parameters)
        setattr(owner, name, value)

    def get(self, parameters: Any) -> Any:
        owner, name = self._place(parameters)
        return getattr(owner, name)

    def _place(self, parameters: Any) -> tuple[Any, str]:
        *parents, name = self.path.split(".")
        for parent in parents:
            parameters = getattr(parameters, parent)
        return parameters, name


class SamplingAttribute(Attribute):
    """Sampling attribute, marked as set by the user to override the GGUF file's recommendation."""

    def put(self, parameters: Any, value: object) -> None:
        import xllamacpp

        super().put(parameters, value)
        parameters.sampling.user_sampling_config |= int(
            getattr(xllamacpp.common_params_sampling_config, _CONFIG + _RECOMMENDED[self.path])
        )


class ListAttribute(Attribute):
    """List attribute, to which each occurrence of its flags adds values."""

    def put(self, parameters: Any, value: object) -> None:
        before = self.get(parameters)
        if isinstance(value, list):
            super().put(parameters, [*before, *value])
        else:
            super().put(parameters, ",".join(filter(None, (before, str(value)))))


class MaskAttribute(Attribute):
    """Processor mask, which is also marked as valid when it is set."""

    def put(self, parameters: Any, value: object) -> None:
        super().put(parameters, value)
        owner, _ = self._place(parameters)
        owner.mask_valid = True


class TimeoutAttribute(Attribute):
    def put(self, parameters: Any, value: object) -> None:
        parameters.timeout_read = parameters.timeout_write = value


_CONFIG = "COMMON_PARAMS_SAMPLING_CONFIG_"
_RECOMMENDED = {
    "sampling.samplers": "SAMPLERS",
    "sampling.top_k": "TOP_K",
    "sampling.top_p": "TOP_P",
    "sampling.min_p": "MIN_P",
    "sampling.xtc_probability": "XTC_PROBABILITY",
    "sampling.xtc_threshold": "XTC_THRESHOLD",
    "sampling.temp": "TEMP",
    "sampling.penalty_last_n": "PENALTY_LAST_N",
    "sampling.penalty_repeat": "PENALTY_REPEAT",
    "sampling.mirostat": "MIROSTAT",
    "sampling.mirostat_tau": "MIROSTAT_TAU",
    "sampling.mirostat_eta": "MIROSTAT_ETA",
}


def sampled(path: str, kind: Callable[[str], object], hint: str = "N") -> Attribute:
    return SamplingAttribute(path, kind, hint)


def switch(path: str) -> Attribute:
    return Attribute(path, bool, "")


def inverted(path: str) -> Attribute:
    return Attribute(path, bool, "", inverted=True)


def number(path: str) -> Attribute:
    return Attribute(path, int)


def decimal(path: str) -> Attribute:
    return Attribute(path, float)


def text(path: str, hint: str = "TEXT") -> Attribute:
    return Attribute(path, str, hint)


def enum(path: str, kind: str, prefix: str, words: Mapping[str, str]) -> Attribute:
    def member(value: str) -> object:
        import xllamacpp

        if value not in words:
            raise ValueError(value)
        return getattr(getattr(xllamacpp, kind), prefix + words[value])

    return Attribute(path, member, "WORD", tuple(words))


def same(*words: str) -> dict[str, str]:
    return {word: word.upper().replace("-", "_") for word in words}


def layers(path: str) -> Attribute:
    return Attribute(
        path,
        lambda value: {"auto": -1, "all": 999}[value] if value in ("auto", "all") else int(value),
        "N",
        ("auto", "all"),
    )


def zero_or_one(path: str) -> Attribute:
    return Attribute(path, {"0": False, "1": True}.__getitem__, "<0|1>", ("0", "1"))


def three(path: str) -> Attribute:
    return Attribute(
        path, lambda value: {"auto": -1, "off": 0, "on": 1}[value], "WORD", ("on", "off", "auto")
    )


def spec_types(value: str) -> list[object]:
    import xllamacpp

    kinds = xllamacpp.common_speculative_type
    return [
        getattr(kinds, f"COMMON_SPECULATIVE_TYPE_{word.strip().upper().replace('-', '_')}")
        for word in value.split(",")
    ]


def proportions(value: str) -> list[float]:
    parts = [float(part) for part in value.replace("/", ",").split(",")]
    return parts + [0.0] * (_DEVICES - len(parts))


def margins(value: str) -> list[int]:
    """Return the memory margin per device in bytes; a single value applies to all devices."""
    margins = [int(part) * 2**20 for part in value.split(",")]
    return (
        margins * _DEVICES
        if len(margins) == 1
        else margins + [1024 * 2**20] * (_DEVICES - len(margins))
    )


def processor_mask(value: str) -> list[bool]:
    bits = int(value, 16)
    return [bool(bits >> at & 1) for at in range(_PROCESSORS)]


def processors(value: str) -> list[bool]:
    first, last = (int(part) for part in value.split("-"))
    return [first <= at <= last for at in range(_PROCESSORS)]


def adapters(value: str) -> list[object]:
    """Return the LoRA adapters that `a.gguf,b.gguf` or `a.gguf:0.5,b.gguf:1` (scales) names."""
    import xllamacpp

    parts = [part.rpartition(":") if scale(part) else (part, "", "1") for part in value.split(",")]
    return [xllamacpp.CommonAdapterLoraInfo(path, float(scale)) for path, _, scale in parts]


def scale(part: str) -> bool:
    return part.rpartition(":")[2].replace(".", "", 1).isdecimal() and ":" in part


def grammar(value: str) -> object:
    import xllamacpp

    return xllamacpp.CommonGrammar(xllamacpp.common_grammar_type.COMMON_GRAMMAR_TYPE_USER, value)


def experts(value: str) -> str:
    """Return the override that keeps the experts of the first `value` layers in main memory."""
    return ",".join(
        rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU" for layer in range(int(value))
    )


def text_of(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


_DEVICES, _PROCESSORS = 128, 512  # limits of the wheel
PRIORITIES = {"-1": "LOW", "0": "NORMAL", "1": "MEDIUM", "2": "HIGH", "3": "REALTIME"}
ON_OFF = same("on", "off", "auto")
CACHE = {
    "f32": "F32",
    "f16": "F16",
    "bf16": "BF16",
    "q8_0": "Q8_0",
    "q4_0": "Q4_0",
    "q4_1": "Q4_1",
    "iq4_nl": "IQ4_NL",
    "q5_0": "Q5_0",
}
FLASH = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
LOAD = {
    "auto": "AUTO",
    "none": "NONE",
    "mmap": "MMAP",
    "mlock": "MLOCK",
    "mmap+mlock": "MMAP_MLOCK",
    "dio": "DIRECT_IO",
}
