"""Configuration of one model, built from its section of llama-server.conf."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proxy.llama_server.config import gguf, model_defaults
from proxy.llama_server.config.ini import ConfigEntry
from proxy.llama_server.config.options import Build, binary_build, wheel_build
from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.launch import EngineMissing, LaunchSpec, find_engine
from proxy.printable import encodable

# Keys of llama-bridge; all others are options of llama-server.
PER_MODEL = (
    "model",
    "hf",
    "hf-repo",
    "aliases",
    "preload",
    "idle-unload",
    "group",
    "dialect",
    "binary",
    "env",
    "require-gpu",
)
FOR_ALL = ("models-max", "side-requests")
SLOTS = 2  # a conversation, and a title or sub-agent beside it
MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class ModelConfig:
    launch: LaunchSpec
    aliases: tuple[str, ...] = ()
    preload: bool = False
    idle_unload: float | None = None  # seconds
    group: str | None = None
    dialect: str | None = None
    require_gpu: bool = False
    context: int | None = None  # of one conversation, if known before the start
    shares_cache: bool = False  # all slots share one KV cache
    cache: int | None = None  # in tokens, if the flags give it

    @property
    def name(self) -> str:
        return self.launch.alias

    @property
    def group_key(self) -> str:
        """Return the key of the group with which this model is loaded and evicted."""
        return f"group {self.group}" if self.group else f"model {self.name}"


@dataclass(frozen=True)
class CatalogSettings:
    """Settings of llama-bridge that affect the catalog."""

    model: str | None  # LLAMA_MODEL
    server: str | None  # LLAMA_SERVER
    tiny_model: Path
    check_dialect: Callable[[str], object]


def free_memory() -> int | None:
    """Return the available memory in MiB, or None if unknown."""
    try:
        rows = dict(line.split(":") for line in MEMORY.read_text().splitlines() if ":" in line)
        return int(rows["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return None


@cache
def memory_at_start() -> int | None:
    """Return the memory available at startup.

    Measured once, so that a reload does not change what is derived from it.
    """
    return free_memory()


class ModelConfigBuilder:
    """Builder of model configurations, which adds warnings to `notes`."""

    def __init__(self, settings: CatalogSettings, notes: list[str]) -> None:
        self._settings, self._notes = settings, notes
        self._builds: dict[Path | None, Build] = {}

    def can_open(self, path: Path, entries: Mapping[str, ConfigEntry]) -> bool:
        return self.engine(entries) is not None or encodable(str(path)) == str(path)

    def engine(self, entries: Mapping[str, ConfigEntry]) -> Path | None:
        binary = entries.get("binary")
        if binary is None:
            return find_engine(self._settings.server)
        try:
            return find_engine(binary.as_text(), by=binary.key)
        except EngineMissing as error:
            raise binary.error(str(error)) from None

    def _build_of(self, engine: Path | None) -> Build:
        if engine not in self._builds:
            self._builds[engine] = binary_build(engine) if engine else wheel_build()
        return self._builds[engine]

    def build(
        self,
        model: Path | str,
        name: str,
        entries: Mapping[str, ConfigEntry],
        defaults: Mapping[str, str],
        header: gguf.GgufHeader | None = None,
    ) -> ModelConfig:
        engine = self.engine(entries)
        build = self._build_of(engine)
        given = [entry for entry in entries.values() if entry.key not in PER_MODEL + FOR_ALL]
        flags = self._with_prompt_cache(
            build, build.flags([*given, *self._defaults(build, given, defaults)]), name, header
        )
        idle, dialect = entries.get("idle-unload"), entries.get("dialect")
        if dialect:
            self._check_dialect(dialect)
        minutes = idle.as_number(least=0) if idle else 0
        return ModelConfig(
            LaunchSpec(model, name, engine, flags, _variables(entries.get("env"))),
            aliases=entries["aliases"].as_list() if "aliases" in entries else (),
            preload="preload" in entries and entries["preload"].as_bool(),
            idle_unload=minutes * 60 or None,
            group=entries["group"].as_text() if "group" in entries else None,
            dialect=dialect.as_text() if dialect else None,
            require_gpu="require-gpu" in entries and entries["require-gpu"].as_bool(),
            **model_defaults.cache_size(build, flags),
        )

    def _with_prompt_cache(
        self, build: Build, flags: tuple[str, ...], name: str, header: gguf.GgufHeader | None
    ) -> tuple[str, ...]:
        """Add `cache-ram` if it is not given, and warn if it is too small."""
        if not build.knows("cache-ram"):
            return flags
        conversation = model_defaults.conversation_size(header, build, flags) if header else None
        in_memory = header.size >> 20 if header and visible_gpu() is None else 0
        given = build.value(flags, "cache-ram")
        limit = (
            int(float(given))
            if given
            else model_defaults.prompt_cache(memory_at_start(), in_memory, conversation)
        )
        if note := model_defaults.prompt_cache_warning(
            name, model_defaults.PROMPT_CACHE if limit is None else limit, conversation
        ):
            self._notes.append(note)
        return (
            flags
            if given or limit is None
            else (*flags, build.options["cache-ram"].flag, str(limit))
        )

    def _defaults(
        self, build: Build, given: Iterable[ConfigEntry], defaults: Mapping[str, str]
    ) -> list[ConfigEntry]:
        """Return default entries for keys that are not given and that this build knows."""
        wanted, given_keys = dict(defaults), {build.resolve(entry.key) for entry in given}
        if build.has_trace_level:
            wanted["log-verbosity"] = "4"  # from this level on, layers and memory are logged
        if build.knows("jinja") and build.options["jinja"].off is None:
            wanted["jinja"] = "true"  # an older build, where it is not the default
        if "kv-unified-per-slot" in given_keys:
            wanted.pop("ctx-size", None)  # the engine multiplies it by the slots
        if (
            build.knows("kv-unified")
            and "parallel" not in given_keys
            and "embeddings" not in given_keys | wanted.keys()
        ):
            wanted |= {"parallel": str(SLOTS), "kv-unified": "true"}
        missing = {
            key: value
            for key, value in wanted.items()
            if build.knows(key) and build.resolve(key) not in given_keys
        }
        return [ConfigEntry(key, value, Path("default"), 0) for key, value in missing.items()]

    def _check_dialect(self, entry: ConfigEntry) -> None:
        try:
            self._settings.check_dialect(entry.as_text())
        except ValueError as error:
            raise entry.error(str(error)) from None


def _variables(entry: ConfigEntry | None) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for word in entry.as_list() if entry else ():
        name, equals, value = word.partition("=")
        if not equals or not name.strip().isidentifier():
            assert entry
            raise entry.error(f"env must be `NAME=value, NAME=value`, not {word!r}")
        pairs.append((name.strip(), os.path.expandvars(value.strip())))
    return tuple(pairs)
