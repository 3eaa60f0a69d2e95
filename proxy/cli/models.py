"""`llama-bridge models`: what lies in a folder, as a table, with what each file tells of itself."""

import argparse
from pathlib import Path

from proxy.cli import models
from proxy.cli.output import _say, _stop
from proxy.dialects import DIALECTS
from proxy.llama_server.config.gguf import Header
from proxy.llama_server.config.model_folder import Found, Shelf, scan
from proxy.printable import printable

_HEAD = ("name", "architecture", "size", "quantisation", "context", "template", "writes calls as")


def table(folder: Path) -> str:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    shelf = scan(folder)
    rows = [_HEAD, *(_row(found) for found in shelf.models)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*(lines if shelf.models else [f"no models in {folder}"]), *_left_out(shelf)])


def _row(found: Found) -> tuple[str, ...]:
    header = found.header
    size = (
        f"{found.size / 2**30:.1f} GiB"
        if found.size >= 2**30 / 10
        else f"{found.size / 2**20:.1f} MiB"
    )
    kind = "embeddings" if header.is_embedding else "yes" if header.template else "none"
    sees = " + images" if found.projector else ""
    context = f"{header.context:,}" if header.context else "unknown"
    return (
        found.name,
        header.architecture,
        size,
        header.quantisation,
        context,
        kind + sees,
        dialect_of(header) or "unknown",
    )


def dialect_of(header: Header) -> str:
    """What the template proves: it has in it what only the templates of that dialect have."""
    template = header.template or ""
    fitting = [
        name
        for name, dialect in DIALECTS.items()
        if any(mark in template for mark in dialect.marks)
    ]
    return " or ".join(fitting)


def _left_out(shelf: Shelf) -> list[str]:
    return [printable(f"left out: {path}: {reason}") for path, reason in shelf.damaged]


def show_models(arguments: argparse.Namespace) -> int:
    try:
        _say(models.table(Path(arguments.folder).expanduser()))
    except ValueError as error:
        _stop(str(error))
    return 0
