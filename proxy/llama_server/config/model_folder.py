"""Discovery of the models in a folder.

Split files become one model, an image projector is assigned to the models beside it, and damaged
files are skipped.
"""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from proxy.llama_server.config import gguf
from proxy.llama_server.config.gguf import DamagedFile, GgufHeader
from proxy.printable import printable


@dataclass(frozen=True)
class ModelFile:
    name: str  # unique in the folder; clients use it
    path: Path  # of the first part
    header: GgufHeader
    size: int  # of all parts
    projector: Path | None = None


@dataclass(frozen=True)
class ModelFolder:
    models: tuple[ModelFile, ...]
    damaged: tuple[tuple[Path, str], ...]


class ModelPathError(ValueError):
    """Error for a path that does not lead to a model; the message says what was tried."""


def scan(folder: Path) -> ModelFolder:
    headers: list[GgufHeader] = []
    damaged: list[tuple[Path, str]] = []
    for path in sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ".gguf" and (path.is_file() or path.is_symlink())
    ):
        try:
            headers.append(gguf.read(path))
        except DamagedFile as reason:
            damaged.append((path, str(reason)))
    projectors = [header for header in headers if header.is_projector]
    models: list[ModelFile] = []
    for parts in _group_parts(header for header in headers if not header.is_projector):
        if missing := _missing(parts):
            damaged.append((parts[0].path, f"{missing} of its parts are missing or damaged"))
            continue
        models.append(_model_file(parts, projectors, {model.name for model in models}))
    return ModelFolder(tuple(models), tuple(damaged))


def _group_parts(headers: Iterable[GgufHeader]) -> list[list[GgufHeader]]:
    groups: dict[Path, list[GgufHeader]] = {}
    for header in headers:
        key = (
            header.path.with_name(f"{header.split[0]}-of-{header.split[2]}")
            if header.split
            else header.path
        )
        groups.setdefault(key, []).append(header)
    return list(groups.values())


def _missing(parts: Sequence[GgufHeader]) -> int:
    split = parts[0].split
    return split[2] - len(parts) if split else 0


def _model_file(
    parts: Sequence[GgufHeader], projectors: Sequence[GgufHeader], taken: set[str]
) -> ModelFile:
    first = parts[0]
    name = first.file_name
    if name in taken:
        name = printable(f"{first.path.parent.name}/{name}")
    names = chain((name,), (f"{name}-{number}" for number in count(2)))
    name = next(one for one in names if one not in taken)
    beside = [header.path for header in projectors if header.path.parent == first.path.parent]
    return ModelFile(
        name, first.path, first, sum(part.size for part in parts), beside[0] if beside else None
    )


def missing_parts(first: GgufHeader) -> str | None:
    """Return why the split model that `first` belongs to cannot be loaded, or None if it can."""
    if first.split is None:
        return None
    name, number, count = first.split
    if number != 1:
        return f"this is part {number} of {count}; use the first part"
    parts = [
        first.path.with_name(f"{name}-{part:05}-of-{count:05}.gguf") for part in range(2, count + 1)
    ]
    missing = [part.name for part in parts if not part.exists()]
    return (
        f"{len(missing)} of its {count} parts are missing: {', '.join(missing[:3])}"
        if missing
        else None
    )


def resolve(named: str, base: Path) -> Path:
    """Return the path of a file, a folder, or the only match of a pattern.

    A relative path is resolved against `base`.
    """
    text = str(base / Path(named).expanduser())
    path = Path(text)
    if path.exists():
        return path
    if path.is_symlink():
        raise ModelPathError(f"{path} is a broken link to {path.readlink()}")
    if not glob.has_magic(text):
        raise ModelPathError(f"no such file: {path}{_others(path)}")
    found = [
        match
        for match in sorted(glob.glob(text, recursive=True))
        if not _is_later_part(Path(match))
    ]
    if not found:
        raise ModelPathError(f"no file matches {text}")
    if len(found) > 1:
        raise ModelPathError(
            f"{len(found)} files match {text}: "
            f"{', '.join(Path(match).name for match in found[:5])}; name one of them"
        )
    return Path(found[0])


def _is_later_part(path: Path) -> bool:
    split = GgufHeader(path, 0, {}).split
    return split is not None and split[1] > 1


def _others(path: Path) -> str:
    beside = (
        sorted(other.name for other in path.parent.glob("*.gguf")) if path.parent.is_dir() else []
    )
    return f"; {path.parent} contains: {', '.join(beside[:8])}" if beside else ""
