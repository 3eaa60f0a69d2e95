"""One model of ours: from the entries of its section to plain values, ready to launch."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proxy.llama_server.config import gguf, model_defaults
from proxy.llama_server.config.ini import Entry
from proxy.llama_server.config.options import Build, of_binary, of_wheel
from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.launch import EngineMissing, Launch, find_engine
from proxy.printable import encodable

# Keys of ours; all others are options of llama-server.
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
SLOTS = 2  # a conversation, and a title or a sub-agent beside it
MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Model:
    launch: Launch
    aliases: tuple[str, ...] = ()
    preload: bool = False
    idle_unload: float | None = None  # seconds
    group: str | None = None
    dialect: str | None = None
    require_gpu: bool = False
    context: int | None = None  # of one conversation, as far as it is known before the start
    shares_cache: bool = False  # all slots have one KV cache together
    cache: int | None = None  # its size in tokens, where the flags say it

    @property
    def name(self) -> str:
        return self.launch.alias

    @property
    def together(self) -> str:
        """Models of one group stay loaded together, and leave together."""
        return f"group {self.group}" if self.group else f"model {self.name}"


@dataclass(frozen=True)
class Wishes:
    """What the settings say."""

    model: str | None  # LLAMA_MODEL
    server: str | None  # LLAMA_SERVER
    tiny: Path
    knows_dialect: Callable[[str], object]


def free_memory() -> int | None:
    """MiB, as far as the system tells."""
    try:
        rows = dict(line.split(":") for line in MEMORY.read_text().splitlines() if ":" in line)
        return int(rows["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return None


@cache
def memory_at_start() -> int | None:
    """Measured once: what is derived from it must not change from one reading of the
    configuration to the next.
    """
    return free_memory()


class ModelMaker:
    """Makes models, and notes in `notes` what a person should know of them."""

    def __init__(self, wishes: Wishes, notes: list[str]) -> None:
        self._wishes, self._notes = wishes, notes
        self._builds: dict[Path | None, Build] = {}

    def can_open(self, path: Path, entries: Mapping[str, Entry]) -> bool:
        return self.engine(entries) is not None or encodable(str(path)) == str(path)

    def engine(self, entries: Mapping[str, Entry]) -> Path | None:
        binary = entries.get("binary")
        if binary is None:
            return find_engine(self._wishes.server)
        try:
            return find_engine(binary.text(), by=binary.key)
        except EngineMissing as error:
            raise binary.wrong(str(error)) from None

    def _build(self, engine: Path | None) -> Build:
        if engine not in self._builds:
            self._builds[engine] = of_binary(engine) if engine else of_wheel()
        return self._builds[engine]

    def made(
        self,
        model: Path | str,
        name: str,
        entries: Mapping[str, Entry],
        defaults: Mapping[str, str],
        header: gguf.Header | None = None,
    ) -> Model:
        engine = self.engine(entries)
        build = self._build(engine)
        said = [entry for entry in entries.values() if entry.key not in PER_MODEL + FOR_ALL]
        flags = self._with_prompt_cache(
            build, build.flags([*said, *self._defaults(build, said, defaults)]), name, header
        )
        idle, dialect = entries.get("idle-unload"), entries.get("dialect")
        if dialect:
            self._check_dialect(dialect)
        minutes = idle.number(least=0) if idle else 0
        return Model(
            Launch(model, name, engine, flags, _variables(entries.get("env"))),
            aliases=entries["aliases"].words() if "aliases" in entries else (),
            preload="preload" in entries and entries["preload"].switch(),
            idle_unload=minutes * 60 or None,
            group=entries["group"].text() if "group" in entries else None,
            dialect=dialect.text() if dialect else None,
            require_gpu="require-gpu" in entries and entries["require-gpu"].switch(),
            **model_defaults.cache_size(build, flags),
        )

    def _with_prompt_cache(
        self, build: Build, flags: tuple[str, ...], name: str, header: gguf.Header | None
    ) -> tuple[str, ...]:
        """Add the limit of the cache in RAM, where none is given, and note one that is too
        small.
        """
        if not build.knows("cache-ram"):
            return flags
        conversation = model_defaults.conversation_size(header, build, flags) if header else None
        in_memory = header.size >> 20 if header and visible_gpu() is None else 0
        said = build.value(flags, "cache-ram")
        limit = (
            int(float(said))
            if said
            else model_defaults.prompt_cache(memory_at_start(), in_memory, conversation)
        )
        if note := model_defaults.too_small(
            name, model_defaults.PROMPT_CACHE if limit is None else limit, conversation
        ):
            self._notes.append(note)
        return (
            flags
            if said or limit is None
            else (*flags, build.options["cache-ram"].flag, str(limit))
        )

    def _defaults(
        self, build: Build, said: Iterable[Entry], defaults: Mapping[str, str]
    ) -> list[Entry]:
        """What nobody said, of what this build knows."""
        wanted, spoken = dict(defaults), {build.meant(entry.key) for entry in said}
        if build.tells_more:
            wanted["log-verbosity"] = "4"  # layers and memory are told from there on
        if build.knows("jinja") and build.options["jinja"].off is None:
            wanted["jinja"] = "true"  # an older build, where it is not the default
        if "kv-unified-per-slot" in spoken:
            wanted.pop("ctx-size", None)  # the engine multiplies it by the slots
        if (
            build.knows("kv-unified")
            and "parallel" not in spoken
            and "embeddings" not in spoken | wanted.keys()
        ):
            wanted |= {"parallel": str(SLOTS), "kv-unified": "true"}
        unsaid = {
            key: value
            for key, value in wanted.items()
            if build.knows(key) and build.meant(key) not in spoken
        }
        return [Entry(key, value, Path("default"), 0) for key, value in unsaid.items()]

    def _check_dialect(self, entry: Entry) -> None:
        try:
            self._wishes.knows_dialect(entry.text())
        except ValueError as error:
            raise entry.wrong(str(error)) from None


def _variables(entry: Entry | None) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for word in entry.words() if entry else ():
        name, equals, value = word.partition("=")
        if not equals or not name.strip().isidentifier():
            assert entry
            raise entry.wrong(f"env is `NAME=value, NAME=value`, not {word!r}")
        pairs.append((name.strip(), os.path.expandvars(value.strip())))
    return tuple(pairs)
