"""Reader for llama-server.conf: an INI file in the style of llama.cpp's presets.

`[*]` applies to all models, `[name]` to one. Each value keeps its file and line for error messages.
A file `llama-server.local.conf` next to it overrides single values, so that updates of the first
file do not touch local changes.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ALL = "*"
_SECTION = re.compile(r"\[(?P<name>[^\[\]]+)\]")
_LINE = re.compile(r"-{0,2}(?P<key>\w[\w.-]*)\s*(?P<rest>(?:(?<=\s)|=|$).*)")
_COMMENT = re.compile(r"(?:^|\s)[#;]")
_BEFORE_QUOTE = " \t,:=[{("  # a quote after another character is an apostrophe
_TRUE, _FALSE = ("true", "yes", "on", "1", "enabled"), ("false", "no", "off", "0", "disabled")


class ConfigurationError(ValueError):
    """Mistakes in the configuration, one per line: file and line, the reason and a suggestion."""


@dataclass(frozen=True)
class ConfigEntry:
    key: str
    value: str | None  # None: a key without a value
    file: Path
    line: int

    def error(self, message: str) -> ConfigurationError:
        return ConfigurationError(f"{self.file}:{self.line}: {message}")

    def as_bool(self) -> bool:
        said = "true" if self.value is None else self.value.lower()
        if said not in _TRUE + _FALSE:
            raise self.error(f"{self.key} must be `true` or `false`, not {self.value!r}")
        return said in _TRUE

    def as_number(self, *, least: float) -> float:
        try:
            number = float(self.value or "")
        except ValueError:
            number = least - 1
        if not number >= least:
            raise self.error(
                f"{self.key} must be a number of at least {least:g}, "
                f"not {self.value or 'nothing'!r}"
            )
        return number

    def one_of(self, *words: str) -> str:
        if self.value not in words:
            raise self.error(
                f"{self.key} must be {' or '.join(f'`{word}`' for word in words)}, "
                f"not {self.value or 'nothing'!r}"
            )
        return self.value

    def as_list(self) -> tuple[str, ...]:
        return tuple(
            _unquoted(word.strip()) for word in (self.value or "").split(",") if word.strip()
        )

    def as_text(self) -> str:
        if not self.value:
            raise self.error(f"{self.key} needs a value: `{self.key} = …`")
        return self.value


ConfigEntries = Mapping[str, ConfigEntry]


@dataclass(frozen=True)
class Configuration:
    common: ConfigEntries = field(default_factory=dict)
    models: Mapping[str, ConfigEntries] = field(default_factory=dict)  # without the values of `[*]`

    def for_model(self, name: str) -> dict[str, ConfigEntry]:
        return {**self.common, **self.models.get(name, {})}


def local_override(path: Path) -> Path:
    return path.with_name(f"{path.stem}.local{path.suffix}")


def read(path: Path | None) -> Configuration:
    """Read a configuration file and its local override.

    A missing file yields an empty configuration; callers must check a path that the user gave.
    """
    sections: dict[str, dict[str, ConfigEntry]] = {}
    errors: list[str] = []
    for file in [path, local_override(path)] if path else []:
        if file.exists():
            _read_one(file, sections, errors)
    if errors:
        raise ConfigurationError("\n".join(errors))
    common = sections.pop(ALL, {})
    return Configuration(common, sections)


def _read_one(file: Path, sections: dict[str, dict[str, ConfigEntry]], errors: list[str]) -> None:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"{file}: cannot be read: {error}")
        return
    section: dict[str, ConfigEntry] | None = None
    seen: set[tuple[int, str]] = set()
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        try:
            if line[0] == "[":
                section = sections.setdefault(_section(file, number, line), {})
            else:
                entry = _entry(file, number, line)
                if section is None and entry.key == "version":
                    continue  # llama.cpp's presets begin with it
                if section is None:
                    raise entry.error(
                        f"{entry.key} is before the first section; add [*] above it to "
                        f"apply it to all models"
                    )
                if (id(section), entry.key) in seen:
                    raise entry.error(f"{entry.key} is already set in this section")
                seen.add((id(section), entry.key))
                section[entry.key] = entry
        except ConfigurationError as error:
            errors.append(str(error))


def _section(file: Path, number: int, line: str) -> str:
    found = _SECTION.fullmatch(_without_comment(line))
    if found is None:
        raise ConfigurationError(
            f"{file}:{number}: invalid section {line!r}; write [*] for all models, [name] for one"
        )
    return found["name"].strip()


def _entry(file: Path, number: int, line: str) -> ConfigEntry:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ConfigurationError(f"{file}:{number}: invalid line {line!r}; write `key = value`")
    name, rest = found["key"], found["rest"]
    if rest.startswith("="):
        value: str | None = _unquoted(_without_comment(rest[1:].strip()))
    elif meant := _without_comment(rest).replace(" = ", " "):
        raise ConfigurationError(
            f"{file}:{number}: missing `=` after {name}. Did you mean `{name} = {meant}`?"
        )
    else:
        value = None
    return ConfigEntry(name.replace("_", "-").lower(), value, file, number)


def _without_comment(value: str) -> str:
    """Return `value` without its comment.

    A comment starts with `#` or `;` after whitespace, outside quotes and brackets.
    """
    quote, depth, before = "", 0, " "
    for at, letter in enumerate(value):
        if quote:
            quote = "" if letter == quote and before != "\\" else quote
        elif letter in "\"'" and before in _BEFORE_QUOTE:
            quote = letter
        elif letter in "#;" and before.isspace() and not depth:
            return value[:at].strip()
        else:
            depth += (letter in "[{") - (letter in "]}")
        before = letter
    # An unclosed quote or bracket protects nothing.
    return _COMMENT.split(value, maxsplit=1)[0].strip() if quote or depth else value.strip()


def _unquoted(value: str) -> str:
    """Return a quoted value without its quotes; `"a", "b"` are two values and stay as they are."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return (
        value[1:-1]
        if quoted and value[0] not in value[1:-1].replace("\\" + value[0], "")
        else value
    )


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean x?)` if a known word is close to `word`, otherwise ""."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.65)
    return f" (did you mean {near[0]}?)" if near else ""
