"""Which models there are: from LLAMA_MODEL, from llama-server.conf or from a folder."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from proxy.llama_server.config import gguf, model_defaults, model_folder
from proxy.llama_server.config.gguf import Damaged
from proxy.llama_server.config.ini import Configuration, ConfigurationError, Entry, closest
from proxy.llama_server.config.model_config import Model, ModelMaker, Wishes
from proxy.llama_server.config.model_folder import NoModel
from proxy.printable import printable

ONLY_ONE = ("model", "hf", "hf-repo", "aliases")  # make no sense for all models
CONTEXT = 32768
HF = "hf:"
T = TypeVar("T")
_NOT_UTF_8 = (
    "its name is not UTF-8, and the llama-server of the xllamacpp wheel opens no such file; "
    "rename it"
)


@dataclass(frozen=True)
class Catalogue:
    models: tuple[Model, ...]
    default: str  # loaded at the start, where nothing says `preload`
    models_max: int = 1
    side_requests: str = "loaded"
    notes: tuple[str, ...] = ()  # damaged files, and the like

    def changes(self, after: "Catalogue") -> list[str]:
        """Return what differs: models by name, and keys for all models."""
        old, new = (
            {model.name: model for model in catalogue.models} for catalogue in (self, after)
        )
        keys = {
            "models-max": self.models_max != after.models_max,
            "side-requests": self.side_requests != after.side_requests,
        }
        return [
            *(name for name in old | new if old.get(name) != new.get(name)),
            *(key for key, differs in keys.items() if differs),
        ]


def make(configuration: Configuration, wishes: Wishes) -> Catalogue:
    """ConfigurationError tells all that is wrong, EngineMissing that there is nothing to run a
    model with.
    """
    return _Making(configuration, wishes).catalogue()


class _Making:
    def __init__(self, configuration: Configuration, wishes: Wishes) -> None:
        self._conf, self._wishes = configuration, wishes
        self._wrong: dict[str, None] = {}
        self._notes: list[str] = []
        self._maker = ModelMaker(wishes, self._notes)

    def catalogue(self) -> Catalogue:
        for entry in self._conf.common.values():
            if entry.key in ONLY_ONE:
                self._wrong[
                    str(
                        entry.wrong(
                            f"{entry.key} belongs into the section of one model, not into [*]"
                        )
                    )
                ] = None
        models = [
            model for name in self._conf.models if (model := self._tried(self._section, name))
        ]
        default, named = self._named()
        models = [*named, *models] or [model for model in [self._tried(self._tiny)] if model]
        maximum, side = self._conf.common.get("models-max"), self._conf.common.get("side-requests")
        count = self._tried(lambda: int(maximum.number(least=1))) if maximum else 1
        answered_by = self._tried(lambda: side.one_of("loaded", "swap")) if side else "loaded"
        self._unique(models)
        if self._wrong:
            raise ConfigurationError("\n".join(self._wrong))
        return Catalogue(
            tuple(models),
            default or models[0].name,
            count or 1,
            answered_by or "loaded",
            tuple(self._notes),
        )

    def _tried(self, make: Callable[..., T], *arguments: object) -> T | None:
        try:
            return make(*arguments)
        except ConfigurationError as error:
            self._wrong.update(dict.fromkeys(str(error).split("\n")))
            return None

    def _named(self) -> tuple[str | None, list[Model]]:
        named = self._wishes.model
        if not named or named in self._conf.models:
            return named, []
        if named.startswith(HF):
            model = self._tried(self._hf, named, self._conf.of(""))
            return None, [model] if model else []
        try:
            path = model_folder.resolve(named, Path.cwd())
        except NoModel as error:
            if Path(named).is_absolute() and Path(named).suffix and not Path(named).parent.exists():
                # A disk that is not mounted yet: the proxy serves, and reports the missing file.
                return None, [
                    self._maker.made(
                        Path(named),
                        printable(Path(named).stem),
                        self._conf.of(""),
                        {"ctx-size": str(CONTEXT)},
                    )
                ]
            near = closest(named, self._conf.models)
            self._wrong[f"LLAMA_MODEL: {error}{near}"] = None
            return None, []
        if not path.is_dir():
            model = self._tried(self._file, path, None, self._conf.of(""), "LLAMA_MODEL")
            return None, [model] if model else []
        return None, self._folder(path)

    def _folder(self, path: Path) -> list[Model]:
        found = model_folder.scan(path)
        opened = [one for one in found.models if self._maker.can_open(one.path, self._conf.of(""))]
        left_out = [
            *found.damaged,
            *((one.path, _NOT_UTF_8) for one in found.models if one not in opened),
        ]
        self._notes += [f"{file} is left out: {reason}" for file, reason in left_out]
        if not opened:
            self._wrong[f"LLAMA_MODEL: there is no whole model in the folder {path}"] = None
        models: list[Model] = []
        for one in opened:
            if one.name not in self._conf.models:
                beside = {} if one.projector is None else {"mmproj": str(one.projector)}
                model = self._tried(
                    self._file, one.path, one.name, self._conf.of(""), "LLAMA_MODEL", beside
                )
                models += [model] if model else []
        return models

    def _section(self, name: str) -> Model:
        entries = self._conf.of(name)
        model, hf = entries.get("model"), entries.get("hf") or entries.get("hf-repo")
        where = next(iter(self._conf.models[name].values()), None)
        if hf or (model is None and "/" in name) or (model and model.text().startswith(HF)):
            return self._hf(hf.text() if hf else model.text() if model else name, entries, name)
        if model is None:
            place = f"{where.file}:{where.line}: " if where else ""
            raise ConfigurationError(
                f"{place}[{name}] says no model: `model = /path/of/a.gguf` or "
                f"`model = hf:owner/repo:quant`"
            )
        try:
            path = model_folder.resolve(model.text(), model.file.parent.absolute())
        except NoModel as error:
            raise model.wrong(str(error)) from None
        if path.is_dir():
            raise model.wrong(
                f"{path} is a folder; a section is one model (LLAMA_MODEL may name a folder)"
            )
        return self._file(path, name, entries, f"{model.file}:{model.line}")

    def _tiny(self) -> Model:
        # It knows four answers by heart: any warmth makes it stammer, a second thread makes it
        # slow.
        return self._file(
            self._wishes.tiny,
            None,
            self._conf.of(""),
            "the tiny model",
            {"temp": "0", "threads": "1"},
        )

    def _hf(self, repository: str, entries: Mapping[str, Entry], name: str | None = None) -> Model:
        repository = repository.removeprefix(HF)
        engine = self._maker.engine(entries)
        if engine is None:
            raise ConfigurationError(
                f"hf:{repository}: the server in the xllamacpp wheel downloads nothing. "
                f"Name a llama-server in LLAMA_SERVER, or a GGUF file"
            )
        return self._maker.made(repository, name or repository, entries, {"ctx-size": str(CONTEXT)})

    def _file(
        self,
        path: Path,
        name: str | None,
        entries: Mapping[str, Entry],
        where: str,
        more: Mapping[str, str] | None = None,
    ) -> Model:
        try:
            header = gguf.read(path)
        except Damaged as reason:
            raise ConfigurationError(f"{where}: {path}: {reason}") from None
        if header.is_projector:
            raise ConfigurationError(
                f"{where}: {path} is no model but a projector for images: name the model, "
                f"and this file as `mmproj`"
            )
        if missing := model_folder.incomplete(header):
            raise ConfigurationError(f"{where}: {path}: {missing}")
        if not self._maker.can_open(path, entries):
            raise ConfigurationError(f"{where}: {path}: {_NOT_UTF_8}")
        defaults = {"ctx-size": str(min(CONTEXT, header.context or CONTEXT))} | dict(more or {})
        asked = entries.get("embeddings") or entries.get("embedding")
        if header.is_embedding or (asked is not None and asked.switch()):
            defaults |= model_defaults.for_embeddings(header)
        return self._maker.made(
            path.absolute(), name or header.file_name, entries, defaults, header
        )

    def _unique(self, models: Iterable[Model]) -> None:
        taken: dict[str, str] = {}
        for model in models:
            for name in dict.fromkeys((model.name, *model.aliases)):
                if name in taken:
                    self._wrong[
                        f"two models answer to the name {name}: [{taken[name]}] and [{model.name}]"
                    ] = None
                taken[name] = model.name
