"""`llama-bridge doctor`: what is set up here, what runs, where each model really runs, and what
cures what is wrong.

It looks and changes nothing: the settings, llama-server.conf, the engine, the files of the models,
and the llama-bridge that runs.
"""

import argparse
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from proxy import __version__, admin_client
from proxy.app import catalogue_of, configuration_places
from proxy.cli import doctor
from proxy.cli.models import dialect_of
from proxy.cli.output import _say, _stop
from proxy.llama_server import Catalogue, Facts, Model
from proxy.llama_server.config import gguf
from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.process.gpu_check import small_slot
from proxy.settings import Settings, load

FINE, WRONG, KNOWN = "ok", "!!", "--"


@dataclass(frozen=True)
class Finding:
    mark: str
    what: str
    told: str


def examine(settings: Settings, transport: httpx.BaseTransport | None = None) -> list[Finding]:
    made_here = (
        list(_made_here(settings))
        if settings.own_child
        else [Finding(KNOWN, "backend", settings.backend_address.base)]
    )
    return [*made_here, *_running(settings, transport)]


def report(findings: list[Finding]) -> str:
    width = max(len(finding.what) for finding in findings)
    between = "\n" + " " * (width + 6)
    lines = [
        f"{finding.mark}  {finding.what.ljust(width)}  {finding.told.replace(chr(10), between)}"
        for finding in findings
    ]
    system = (
        f"llama-bridge {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}"
    )
    wrong = sum(finding.mark == WRONG for finding in findings)
    return "\n".join([system, *lines, f"{wrong or 'nothing'} to mend"])


def _made_here(settings: Settings) -> Iterator[Finding]:
    file = settings.llama_server_conf or next(
        (place for place in configuration_places() if place.exists()), None
    )
    try:
        catalogue = catalogue_of(settings)
    except ValueError as error:  # of the configuration, or no engine: nothing can be started
        yield Finding(WRONG, "set up", str(error))
        return
    yield Finding(
        FINE,
        "set up",
        f"{file.absolute() if file else 'no llama-server.conf'}, {_how_many(catalogue)}",
    )
    yield from (Finding(WRONG, "note", note) for note in catalogue.notes)
    for engine in dict.fromkeys(model.launch.engine for model in catalogue.models):
        yield Finding(
            FINE, "engine", str(engine) if engine else "llama-server of the xllamacpp wheel"
        )
    yield Finding(KNOWN, "GPU", visible_gpu() or "none that this system shows")
    yield from map(_file, catalogue.models)


def _how_many(catalogue: Catalogue) -> str:
    count = len(catalogue.models)
    return (
        f"{count} model{'s' * (count > 1)}, {catalogue.models_max} at once; loaded first: "
        f"{catalogue.default}"
    )


def _file(model: Model) -> Finding:
    path = model.launch.model
    if not isinstance(path, Path):
        return Finding(KNOWN, "file", f"{path} of Hugging Face, which llama-server itself fetches")
    try:
        header = gguf.read(path)
    except (gguf.Damaged, OSError) as error:
        return Finding(WRONG, "file", f"{path}: {error}")
    dialect = dialect_of(header)
    told = [
        header.architecture,
        header.quantisation,
        f"trained for {header.context:,} tokens" if header.context else "",
    ]
    calls = (
        "embeddings"
        if header.is_embedding
        else f"writes calls as {dialect}"
        if dialect
        else "its text will show how it writes calls"
    )
    return Finding(FINE, "file", f"{path}: {', '.join(filter(None, [*told, calls]))}")


def _running(settings: Settings, transport: httpx.BaseTransport | None) -> Iterator[Finding]:
    try:
        health = admin_client.health(settings, transport)
    except admin_client.NotRunning as error:
        yield Finding(KNOWN, "running", str(error))
        return
    if health["status"] == "ok":
        answers = ", ".join(
            filter(None, [health.get("backend"), health.get("model"), health.get("reason")])
        )
        yield Finding(FINE, "running", f"{health.get('url') or 'ready'}: {answers}")
    else:
        yield Finding(WRONG, "running", f"no request would be answered: {health.get('reason')}")
    yield from map(_child, health.get("models") or [])


def _child(model: Mapping[str, Any]) -> Finding:
    """Where it really runs, as the engine itself has told."""
    name, state = str(model["id"]), str(model["state"])
    if state != "ready":
        return Finding(
            WRONG if state in ("failed", "resting") else KNOWN,
            name,
            state + (f": {model['reason']}" if model["reason"] else ""),
        )
    layers = model["layers"] or {}
    facts = Facts(
        model["device"],
        offloaded=layers.get("offloaded"),
        layers=layers.get("all"),
        context=model["context"],
        slots=model["slots"],
        memory=model["memory_mib"] or 0,
        gpu_memory=model.get("gpu_memory_mib") or 0,
    )
    wrong = model["warning"] or small_slot(name, model["context"])
    return Finding(
        WRONG if wrong else FINE, name, f"ready: {facts.where}" + (f"\n{wrong}" if wrong else "")
    )


def run_examine(_: argparse.Namespace) -> int:
    try:
        findings = doctor.examine(load(os.environ))
    except ValueError as error:
        _stop(str(error))
    _say(doctor.report(findings))
    return int(any(finding.mark == doctor.WRONG for finding in findings))
