"""`llama-bridge doctor`: check the setup and the running server, and suggest fixes.

It checks the settings, llama-server.conf, the engine, the model files and the running llama-bridge,
and changes nothing.
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
from proxy.app import config_paths, load_catalog
from proxy.cli import doctor
from proxy.cli.models import dialect_of
from proxy.cli.output import fail, print_safe
from proxy.llama_server import Catalog, EngineInfo, ModelConfig
from proxy.llama_server.config import gguf
from proxy.llama_server.gpu import visible_gpu
from proxy.llama_server.process.gpu_check import small_context_warning
from proxy.settings import Settings, load

OK, PROBLEM, INFO = "ok", "!!", "--"


@dataclass(frozen=True)
class Finding:
    level: str
    what: str
    detail: str


def examine(settings: Settings, transport: httpx.BaseTransport | None = None) -> list[Finding]:
    """Return the findings for `settings` and for the running llama-bridge, if there is one."""
    own_setup = (
        list(_own_setup(settings))
        if settings.starts_server
        else [Finding(INFO, "backend", settings.backend_address.base)]
    )
    return [*own_setup, *_running(settings, transport)]


def report(findings: list[Finding]) -> str:
    """Return `findings` as an aligned table with the number of problems below."""
    width = max(len(finding.what) for finding in findings)
    between = "\n" + " " * (width + 6)
    lines = [
        f"{finding.level}  {finding.what.ljust(width)}  {finding.detail.replace(chr(10), between)}"
        for finding in findings
    ]
    system = (
        f"llama-bridge {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}"
    )
    wrong = sum(finding.level == PROBLEM for finding in findings)
    summary = f"{wrong or 'no'} problem{'s' * (wrong != 1)} found"
    return "\n".join([system, *lines, summary])


def _own_setup(settings: Settings) -> Iterator[Finding]:
    file = settings.llama_server_conf or next(
        (place for place in config_paths() if place.exists()), None
    )
    try:
        catalog = load_catalog(settings)
    except ValueError as error:  # an invalid configuration, or no engine: nothing can start
        yield Finding(PROBLEM, "set up", str(error))
        return
    yield Finding(
        OK,
        "set up",
        f"{file.absolute() if file else 'no llama-server.conf'}, {_how_many(catalog)}",
    )
    yield from (Finding(PROBLEM, "note", note) for note in catalog.notes)
    for engine in dict.fromkeys(model.launch.engine for model in catalog.models):
        yield Finding(
            OK, "engine", str(engine) if engine else "llama-server of the xllamacpp wheel"
        )
    yield Finding(INFO, "GPU", visible_gpu() or "none visible to this system")
    yield from map(_file, catalog.models)


def _how_many(catalog: Catalog) -> str:
    count = len(catalog.models)
    return (
        f"{count} model{'s' * (count > 1)}, {catalog.models_max} loaded at once; default: "
        f"{catalog.default}"
    )


def _file(model: ModelConfig) -> Finding:
    path = model.launch.model
    if not isinstance(path, Path):
        return Finding(INFO, "file", f"{path} on Hugging Face; llama-server downloads it")
    try:
        header = gguf.read(path)
    except (gguf.DamagedFile, OSError) as error:
        return Finding(PROBLEM, "file", f"{path}: {error}")
    dialect = dialect_of(header)
    described = [
        header.architecture,
        header.quantisation,
        f"trained for {header.context:,} tokens" if header.context else "",
    ]
    calls = (
        "embeddings"
        if header.is_embedding
        else f"dialect {dialect}"
        if dialect
        else "dialect detected at run time"
    )
    return Finding(OK, "file", f"{path}: {', '.join(filter(None, [*described, calls]))}")


def _running(settings: Settings, transport: httpx.BaseTransport | None) -> Iterator[Finding]:
    try:
        health = admin_client.health(settings, transport)
    except admin_client.NotRunning as error:
        yield Finding(INFO, "running", str(error))
        return
    if health["status"] == "ok":
        answers = ", ".join(
            filter(None, [health.get("backend"), health.get("model"), health.get("reason")])
        )
        yield Finding(OK, "running", f"{health.get('url') or 'ready'}: {answers}")
    else:
        yield Finding(PROBLEM, "running", f"cannot answer requests: {health.get('reason')}")
    yield from map(_model_process, health.get("models") or [])


def _model_process(model: Mapping[str, Any]) -> Finding:
    """Return the state of one model: device, layers, context and memory as the engine reports."""
    name, state = str(model["id"]), str(model["state"])
    if state != "ready":
        return Finding(
            PROBLEM if state in ("failed", "resting") else INFO,
            name,
            state + (f": {model['reason']}" if model["reason"] else ""),
        )
    layers = model["layers"] or {}
    facts = EngineInfo(
        model["device"],
        offloaded=layers.get("offloaded"),
        layers=layers.get("all"),
        context=model["context"],
        slots=model["slots"],
        memory=model["memory_mib"] or 0,
        gpu_memory=model.get("gpu_memory_mib") or 0,
    )
    wrong = model["warning"] or small_context_warning(name, model["context"])
    return Finding(
        PROBLEM if wrong else OK, name, f"ready: {facts.summary}" + (f"\n{wrong}" if wrong else "")
    )


def run(_: argparse.Namespace) -> int:
    try:
        findings = doctor.examine(load(os.environ))
    except ValueError as error:
        fail(str(error))
    print_safe(doctor.report(findings))
    return int(any(finding.level == doctor.PROBLEM for finding in findings))
