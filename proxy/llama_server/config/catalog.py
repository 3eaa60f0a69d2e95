"""Catalog of models, built from LLAMA_MODEL, llama-server.conf or a folder."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from proxy.llama_server.config import gguf, model_defaults, model_folder
from proxy.llama_server.config.gguf import DamagedFile
from proxy.llama_server.config.ini import ConfigEntry, Configuration, ConfigurationError, suggestion
from proxy.llama_server.config.model_config import CatalogSettings, ModelConfig, ModelConfigBuilder
from proxy.llama_server.config.model_folder import ModelPathError
from proxy.printable import printable

ONLY_ONE = ("model", "hf", "hf-repo", "aliases")  # keys that make no sense for all models
CONTEXT = 32768
HF = "hf:"
T = TypeVar("T")
_NOT_UTF_8 = (
    "the file name is not UTF-8, which the engine of the xllamacpp wheel cannot open; rename it"
)


@dataclass(frozen=True)
class Catalog:
    models: tuple[ModelConfig, ...]
    default: str  # loaded at startup unless a model has `preload`
    models_max: int = 1
    side_requests: str = "loaded"
    notes: tuple[str, ...] = ()  # such as damaged files

    def changes(self, after: "Catalog") -> list[str]:
        """Return the names of changed models and the changed global keys."""
        old, new = ({model.name: model for model in catalog.models} for catalog in (self, after))
        keys = {
            "models-max": self.models_max != after.models_max,
            "side-requests": self.side_requests != after.side_requests,
        }
        return [
            *(name for name in old | new if old.get(name) != new.get(name)),
            *(key for key, differs in keys.items() if differs),
        ]


def make_catalog(configuration: Configuration, settings: CatalogSettings) -> Catalog:
    """Build the catalog of models from the configuration and the settings.

    Raises ConfigurationError with all mistakes, or EngineMissing if there is no engine.
    """
    return _CatalogBuilder(configuration, settings).build()


class _CatalogBuilder:
    def __init__(self, configuration: Configuration, settings: CatalogSettings) -> None:
        self._conf, self._settings = configuration, settings
        self._errors: dict[str, None] = {}
        self._notes: list[str] = []
        self._builder = ModelConfigBuilder(settings, self._notes)

    def build(self) -> Catalog:
        for entry in self._conf.common.values():
            if entry.key in ONLY_ONE:
                self._errors[
                    str(entry.error(f"{entry.key} belongs in the section of one model, not in [*]"))
                ] = None
        models = [
            model
            for name in self._conf.models
            if (model := self._collecting_errors(self._section, name))
        ]
        default, named = self._from_setting()
        models = [*named, *models] or [
            model for model in [self._collecting_errors(self._tiny)] if model
        ]
        maximum, side = self._conf.common.get("models-max"), self._conf.common.get("side-requests")
        count = self._collecting_errors(lambda: int(maximum.as_number(least=1))) if maximum else 1
        answered_by = (
            self._collecting_errors(lambda: side.one_of("loaded", "swap")) if side else "loaded"
        )
        self._unique(models)
        if self._errors:
            raise ConfigurationError("\n".join(self._errors))
        return Catalog(
            tuple(models),
            default or models[0].name,
            count or 1,
            answered_by or "loaded",
            tuple(self._notes),
        )

    def _collecting_errors(self, make: Callable[..., T], *arguments: object) -> T | None:
        try:
            return make(*arguments)
        except ConfigurationError as error:
            self._errors.update(dict.fromkeys(str(error).split("\n")))
            return None

    def _from_setting(self) -> tuple[str | None, list[ModelConfig]]:
        named = self._settings.model
        if not named or named in self._conf.models:
            return named, []
        if named.startswith(HF):
            model = self._collecting_errors(self._hf, named, self._conf.for_model(""))
            return None, [model] if model else []
        try:
            path = model_folder.resolve(named, Path.cwd())
        except ModelPathError as error:
            if Path(named).is_absolute() and Path(named).suffix and not Path(named).parent.exists():
                # A disk that is not mounted yet: start anyway, and report the missing file.
                return None, [
                    self._builder.build(
                        Path(named),
                        printable(Path(named).stem),
                        self._conf.for_model(""),
                        {"ctx-size": str(CONTEXT)},
                    )
                ]
            near = suggestion(named, self._conf.models)
            self._errors[f"LLAMA_MODEL: {error}{near}"] = None
            return None, []
        if not path.is_dir():
            model = self._collecting_errors(
                self._file, path, None, self._conf.for_model(""), "LLAMA_MODEL"
            )
            return None, [model] if model else []
        return None, self._folder(path)

    def _folder(self, path: Path) -> list[ModelConfig]:
        found = model_folder.scan(path)
        opened = [
            one
            for one in found.models
            if self._builder.can_open(one.path, self._conf.for_model(""))
        ]
        left_out = [
            *found.damaged,
            *((one.path, _NOT_UTF_8) for one in found.models if one not in opened),
        ]
        self._notes += [f"skipped {file}: {reason}" for file, reason in left_out]
        if not opened:
            self._errors[f"LLAMA_MODEL: no complete model in the folder {path}"] = None
        models: list[ModelConfig] = []
        for one in opened:
            if one.name not in self._conf.models:
                beside = {} if one.projector is None else {"mmproj": str(one.projector)}
                model = self._collecting_errors(
                    self._file, one.path, one.name, self._conf.for_model(""), "LLAMA_MODEL", beside
                )
                models += [model] if model else []
        return models

    def _section(self, name: str) -> ModelConfig:
        entries = self._conf.for_model(name)
        model, hf = entries.get("model"), entries.get("hf") or entries.get("hf-repo")
        where = next(iter(self._conf.models[name].values()), None)
        if hf or (model is None and "/" in name) or (model and model.as_text().startswith(HF)):
            return self._hf(
                hf.as_text() if hf else model.as_text() if model else name, entries, name
            )
        if model is None:
            place = f"{where.file}:{where.line}: " if where else ""
            raise ConfigurationError(
                f"{place}[{name}] has no model; add `model = /path/to/model.gguf` or "
                f"`model = hf:owner/repo:quant`"
            )
        try:
            path = model_folder.resolve(model.as_text(), model.file.parent.absolute())
        except ModelPathError as error:
            raise model.error(str(error)) from None
        if path.is_dir():
            raise model.error(
                f"{path} is a folder; a section needs one model (LLAMA_MODEL can be a folder)"
            )
        return self._file(path, name, entries, f"{model.file}:{model.line}")

    def _tiny(self) -> ModelConfig:
        # It knows four answers: any temperature garbles them, and a second thread slows it down.
        return self._file(
            self._settings.tiny_model,
            None,
            self._conf.for_model(""),
            "the tiny model",
            {"temp": "0", "threads": "1"},
        )

    def _hf(
        self, repository: str, entries: Mapping[str, ConfigEntry], name: str | None = None
    ) -> ModelConfig:
        repository = repository.removeprefix(HF)
        engine = self._builder.engine(entries)
        if engine is None:
            raise ConfigurationError(
                f"hf:{repository}: the engine of the xllamacpp wheel cannot download models; "
                f"set LLAMA_SERVER to a llama-server, or use a GGUF file"
            )
        return self._builder.build(
            repository, name or repository, entries, {"ctx-size": str(CONTEXT)}
        )

    def _file(
        self,
        path: Path,
        name: str | None,
        entries: Mapping[str, ConfigEntry],
        where: str,
        more: Mapping[str, str] | None = None,
    ) -> ModelConfig:
        try:
            header = gguf.read(path)
        except DamagedFile as reason:
            raise ConfigurationError(f"{where}: {path}: {reason}") from None
        if header.is_projector:
            raise ConfigurationError(
                f"{where}: {path} is an image projector, not a model; set the model, "
                f"and set `mmproj` to this file"
            )
        if missing := model_folder.missing_parts(header):
            raise ConfigurationError(f"{where}: {path}: {missing}")
        if not self._builder.can_open(path, entries):
            raise ConfigurationError(f"{where}: {path}: {_NOT_UTF_8}")
        defaults = {"ctx-size": str(min(CONTEXT, header.context or CONTEXT))} | dict(more or {})
        asked = entries.get("embeddings") or entries.get("embedding")
        if header.is_embedding or (asked is not None and asked.as_bool()):
            defaults |= model_defaults.for_embeddings(header)
        return self._builder.build(
            path.absolute(), name or header.file_name, entries, defaults, header
        )

    def _unique(self, models: Iterable[ModelConfig]) -> None:
        taken: dict[str, str] = {}
        for model in models:
            for name in dict.fromkeys((model.name, *model.aliases)):
                if name in taken:
                    self._errors[
                        f"duplicate model name {name}: [{taken[name]}] and [{model.name}]"
                    ] = None
                taken[name] = model.name
