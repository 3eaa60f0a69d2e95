"""`llama-bridge models`: list the GGUF files in a folder as a table of their metadata."""

import argparse
from pathlib import Path

from proxy.cli import models
from proxy.cli.output import fail, print_safe
from proxy.dialects import DIALECTS
from proxy.llama_server.config.gguf import GgufHeader
from proxy.llama_server.config.model_folder import ModelFile, ModelFolder, scan
from proxy.printable import printable

_COLUMNS = (
    "name",
    "architecture",
    "size",
    "quantisation",
    "context",
    "template",
    "dialect",
)


def table(folder: Path) -> str:
    """Return the models in `folder` as a table, then the files that were skipped."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    contents = scan(folder)
    rows = [_COLUMNS, *(_row(found) for found in contents.models)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(
        [*(lines if contents.models else [f"no models in {folder}"]), *_skipped(contents)]
    )


def _row(model: ModelFile) -> tuple[str, ...]:
    header = model.header
    size = (
        f"{model.size / 2**30:.1f} GiB"
        if model.size >= 2**30 / 10
        else f"{model.size / 2**20:.1f} MiB"
    )
    kind = "embeddings" if header.is_embedding else "yes" if header.template else "none"
    sees = " + images" if model.projector else ""
    context = f"{header.context:,}" if header.context else "unknown"
    return (
        model.name,
        header.architecture,
        size,
        header.quantisation,
        context,
        kind + sees,
        dialect_of(header) or "unknown",
    )


def dialect_of(header: GgufHeader) -> str:
    """Return the dialect that the chat template proves, several joined by "or", or ""."""
    template = header.template or ""
    fitting = [
        name
        for name, dialect in DIALECTS.items()
        if any(mark in template for mark in dialect.template_markers)
    ]
    return " or ".join(fitting)


def _skipped(folder: ModelFolder) -> list[str]:
    return [printable(f"skipped {path}: {reason}") for path, reason in folder.damaged]


def run(arguments: argparse.Namespace) -> int:
    try:
        print_safe(models.table(Path(arguments.folder).expanduser()))
    except ValueError as error:
        fail(str(error))
    return 0
