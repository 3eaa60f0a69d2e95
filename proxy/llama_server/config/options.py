"""Options of a build of llama-server, and the translation of configuration entries into flags.

Options come, go and change their names between builds. A binary is asked with `--help`, and the
answer is cached until the binary changes. For the wheel, wheel_options.py lists the options.
"""

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proxy.llama_server import wheel_options
from proxy.llama_server.config.ini import ConfigEntry, ConfigurationError, suggestion
from proxy.llama_server.config.option_aliases import (
    ALIASES,
    FALSE,
    NO_TEMPLATE,
    RESERVED,
    TEMPLATE_REASON,
    TRUE,
)

_NAMES = re.compile(r"(?:--?\w[\w.-]*(?:,\s*(?=-))?)+")
_WORDS = re.compile(r"\[([\w|]+)\]$|<(\w+(?:\|\w+)+)>$|\{([\w,]+)\}$")
_ALLOWED = re.compile(r"allowed values: ([\w+, -]+)")
_QUOTED = re.compile(r"'([a-z]+)'")
_TEMPLATES = re.compile(r"list of built-in templates:\s*([\w.,\s-]+?)\s*(?:\(env|$)")
_ENVIRONMENT = re.compile(r"\(env: (\w+)\)")
_REMOVED = re.compile(r"argument has been removed\.?(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")
_COUNTED = ("ctx-size", "batch-size", "ubatch-size")  # a negative value crashes the engine
_HELP_PATIENCE = 30.0


@dataclass(frozen=True)
class Option:
    name: str  # the longest name, without dashes
    flag: str
    off: str | None = None  # the flag that switches it off
    hint: str = ""  # kind of value; empty for a switch
    words: tuple[str, ...] = ()  # the only allowed values, or words allowed instead of a number
    removed: str | None = None  # the build's explanation

    def arguments(self, value: str | None) -> list[str]:
        """Return the command-line arguments that set this option to `value`.

        Raises ValueError if the value is invalid.
        """
        text = "" if value is None else value
        if not self.hint:
            return self._switch(text)
        if {"on", "off"} <= set(self.words):
            text = "on" if text.lower() in TRUE else "off" if text.lower() in FALSE else text
        if text.startswith("~/"):
            text = os.path.expanduser(text)  # llama-server does not expand it
        if text == "":
            raise ValueError(f"needs a value: `{self.name} = {self.hint}`")
        if "gpu-layers" in self.name and text == "-1":
            text = "auto" if "auto" in self.words else "999"
        self._check(text)
        return [self.flag, text]

    def _switch(self, text: str) -> list[str]:
        if text.lower() in TRUE:
            return [self.flag]
        if text.lower() in FALSE or text == "auto":  # older builds have only `-fa`
            return [self.off] if self.off and text != "auto" else []
        raise ValueError(f"must be `true` or `false`, not {text!r}")

    def _check(self, text: str) -> None:
        if self.name == "chat-template":
            if text in NO_TEMPLATE or (self.words and text not in self.words and "{" not in text):
                raise ValueError(TEMPLATE_REASON.format(value=repr(text)))
        elif self.name in _COUNTED and not text.isdecimal():
            raise ValueError(f"must be a whole number, not {text!r}")
        elif self.hint == "N":
            if not _NUMBER.fullmatch(text) and text not in self.words:
                raise ValueError(
                    f"must be a number{''.join(f' or `{word}`' for word in self.words)}, "
                    f"not {text!r}"
                )
        elif self.words and text not in self.words:
            raise ValueError(
                f"must be one of {', '.join(self.words)}, "
                f"not {text!r}{suggestion(text, self.words)}"
            )


@dataclass(frozen=True)
class Build:
    """Options of one build of llama-server, indexed by all of their names."""

    options: Mapping[str, Option]
    description: str
    hint: str
    has_trace_level: bool = False  # at verbosity 4 it logs layers and memory, but no prompts

    def resolve(self, key: str) -> str:
        """Return the name of the option that `key` means, or `key` itself."""
        option = self.options.get(key)
        if option is None and key in ALIASES:
            with suppress(ValueError):
                replacement = ALIASES[key]("")
                option = self.options.get(replacement[0]) if replacement else None
        return option.name if option else key

    def value(self, flags: Iterable[str], key: str) -> str | None:
        """Return the value of the option `key` in `flags`, `true` for a switch, None if not set."""
        option, given = self.options.get(key), list(flags)
        if option is None or option.flag not in given:
            return None
        return given[given.index(option.flag) + 1] if option.hint else "true"

    def knows(self, name: str) -> bool:
        return name in self.options and self.options[name].removed is None

    def flags(self, entries: Iterable[ConfigEntry]) -> tuple[str, ...]:
        """Return the command-line flags for the configuration entries.

        Raises ConfigurationError with file and line for options that are unknown, invalid or given
        twice.
        """
        given: dict[str, tuple[ConfigEntry, list[str]]] = {}
        errors: list[str] = []
        for entry in entries:
            try:
                option, words = self._arguments(entry.key, entry.value)
                if option is None:
                    continue
                other = given.setdefault(option.name, (entry, words))
                if other[1] != words:
                    raise ValueError(
                        f"and {other[0].key} (line {other[0].line}) both set `{option.name}`; "
                        f"keep only that one"
                    )
            except ValueError as error:
                errors.append(str(entry.error(f"{entry.key} {error}")))
        if errors:
            raise ConfigurationError("\n".join(errors))
        return tuple(word for _, words in given.values() for word in words)

    def _arguments(self, key: str, value: str | None) -> tuple[Option | None, list[str]]:
        if key in RESERVED:
            raise ValueError(f"cannot be set here: {RESERVED[key]}")
        option = self.options.get(key)
        if option is not None and option.removed is None:
            return option, option.arguments(value)
        if key in ALIASES:
            try:
                replacement = ALIASES[key]("" if value is None else value)
            except ValueError as reason:
                raise ValueError(f"cannot be set: {reason}") from None
            if replacement is None:
                return None, []
            if self.knows(replacement[0]):
                option = self.options[replacement[0]]
                return option, option.arguments(replacement[1])
        if option is not None:
            raise ValueError(f"was removed from this llama-server: {option.removed}")
        raise ValueError(
            f"is not an option of {self.description}{suggestion(key, self.options)}. "
            f"{self.hint}".rstrip()
        )


def wheel_build() -> Build:
    options: dict[str, Option] = {}
    for names, attribute in wheel_options.OPTIONS.items():
        flag, *others = names.split()
        option = Option(
            flag[2:],
            flag,
            f"--no-{flag[2:]}" if attribute.is_switch else None,
            attribute.hint,
            attribute.words,
        )
        options |= {name.lstrip("-"): option for name in [flag, *others]}
        if option.off:
            options[option.off[2:]] = Option(option.name, option.off, flag)
    hint = "Set LLAMA_SERVER (or `binary`) to a llama-server to use all of its options"
    return Build(
        options,
        "the xllamacpp wheel",
        hint,
        has_trace_level=True,
    )


def binary_build(path: Path, cache: Path | None = None) -> Build:
    """Return the options of a llama-server binary, as listed by `--help`.

    If `--help` fails, no option is known.
    """
    text = _help(path, cache or _cache_folder())
    description = f"this llama-server ({path})"
    return Build(
        read_help(text),
        description,
        "See `llama-server --help`",
        has_trace_level="4: trace" in text,
    )


def read_help(text: str) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for paragraph in re.split(r"\n(?=-)", text):
        for option, names in _options(paragraph):
            options |= dict.fromkeys(names, option)
    return options


def _options(paragraph: str) -> list[tuple[Option, list[str]]]:
    found = _NAMES.match(paragraph)
    if found is None:
        return []
    names = [name.strip() for name in found[0].split(",")]
    rest = paragraph[found.end() :]
    hint, text = "", rest
    # One space precedes the value, two the description.
    if rest[:1] == " " and rest[1:2].strip():
        head, _, tail = rest[1:].partition("\n")
        hint, _, more = head.partition("  ")
        text = f"{more} {tail}"
    text = " ".join(text.split())
    removed = _REMOVED.search(text)
    on, off = _split_negated(names)
    longest = max(on, key=len)
    environment = [word.lower().replace("_", "-") for word in _ENVIRONMENT.findall(text)]
    turned = max(off, key=len) if off else None
    option = Option(
        longest[2:],
        longest,
        turned,
        hint.strip(),
        _words(names, hint.strip(), text),
        removed[1].strip() if removed else None,
    )
    made = [(option, [name.lstrip("-") for name in on] + environment)]
    return (
        [*made, (Option(option.name, turned, longest), [name.lstrip("-") for name in off])]
        if turned
        else made
    )


def _split_negated(names: list[str]) -> tuple[list[str], list[str]]:
    """Split `-kvo, --kv-offload, -nkvo, --no-kv-offload` into positive and negated names.

    `--no-host` alone is a switch of its own.
    """
    first = next(
        (
            at
            for at, name in enumerate(names)
            if name.startswith("--") and not name.startswith("--no-")
        ),
        None,
    )
    if first is None or not any(name.startswith("--no-") for name in names):
        return names, []
    off = [
        name
        for at, name in enumerate(names)
        if name.startswith("--no-") or (at > first and not name.startswith("--"))
    ]
    return [name for name in names if name not in off], off


def _words(names: list[str], hint: str, text: str) -> tuple[str, ...]:
    if "--chat-template" in names:
        found = _TEMPLATES.search(text)
        return tuple(word.strip() for word in found[1].split(",")) if found else ()
    if listed := _WORDS.search(hint):
        return tuple(re.split(r"[|,]", next(filter(None, listed.groups()))))
    if allowed := _ALLOWED.search(text):
        return tuple(word.strip() for word in allowed[1].split(","))
    return tuple(dict.fromkeys(_QUOTED.findall(text))) if hint == "N" else ()


def _help(path: Path, cache: Path) -> str:
    try:
        stamp = path.stat()
        stamp_text = f"{path} {stamp.st_mtime_ns} {stamp.st_size}"
        cached = cache / f"help-{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.txt"
        stamp_line, _, text = (cached.read_text() if cached.exists() else "").partition("\n")
        if stamp_line == stamp_text:
            return text
        ran = subprocess.run(
            [path, "--help"],
            capture_output=True,
            text=True,
            timeout=_HELP_PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    text = ran.stdout if "--ctx-size" in ran.stdout else ran.stderr
    if "--ctx-size" in text:
        _write_cache(cached, f"{stamp_text}\n{text}")
        return text
    return ""


def _write_cache(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        partial.write_text(text)
        partial.replace(file)
    except OSError:
        return  # the binary is asked again next time


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llama-bridge"
