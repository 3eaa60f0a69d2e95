"""Architecture: allowed imports between packages, and limits on the length of files."""

import ast
from pathlib import Path

import pytest

import proxy

ROOT = Path(proxy.__file__).parent
# What a package or module may import besides itself. The most specific entry applies, such as
# `parsing.grammars` before `parsing`. An allowed package includes its modules.
ALLOWED: dict[str, set[str]] = {
    "printable": set(),
    "exact_json": set(),
    "ids": set(),
    "errors": {"printable"},
    "tiny_model": set(),
    # Parsing: the text of a model, as events.
    "parsing": {"exact_json"},
    "parsing.grammars": {"parsing"},
    "dialects": {"parsing", "ids"},
    # Completion: one request and its answer.
    "protocols": {"parsing", "exact_json"},
    "chat_request": {"exact_json", "errors"},
    "backends": {"chat_request", "parsing", "exact_json", "errors"},
    "settings": {"backends", "dialects"},
    "completion": {
        "backends",
        "chat_request",
        "dialects",
        "parsing",
        "protocols",
        "settings",
        "exact_json",
        "ids",
        "errors",
        "printable",
    },
    # Web: the HTTP layer, independent of how answers are parsed.
    "web": {
        "completion",
        "backends",
        "chat_request",
        "protocols",
        "settings",
        "exact_json",
        "ids",
        "errors",
        "printable",
    },
    # Managed llama-server processes: first values and rules, then processes, then the pool.
    "llama_server": {
        "llama_server.admission",
        "llama_server.admission_queue",
        "llama_server.config",
        "llama_server.gpu",
        "llama_server.launch",
        "llama_server.process",
        "llama_server.reload",
        "llama_server.scheduler",
        "llama_server.suspects",
        "errors",
    },
    "llama_server.launch": set(),
    "llama_server.reload": {"llama_server.config", "errors"},
    "llama_server.gpu": set(),
    "llama_server.wheel_attributes": set(),
    "llama_server.wheel_options": {"llama_server.wheel_attributes"},
    "llama_server.wheel_server": {"llama_server.wheel_attributes", "llama_server.wheel_options"},
    "llama_server.admission": set(),
    "llama_server.scheduler": set(),
    "llama_server.residents": {"llama_server.admission"},
    "llama_server.suspects": {"errors"},
    "llama_server.slot_cache": {"llama_server.launch"},
    "llama_server.admission_queue": {
        "llama_server.admission",
        "llama_server.residents",
        "llama_server.launch",
        "errors",
    },
    "llama_server.config": {
        "llama_server.launch",
        "llama_server.gpu",
        "llama_server.wheel_options",
        "printable",
    },
    "llama_server.process": {
        "llama_server.process.state",
        "llama_server.launch",
        "llama_server.gpu",
        "llama_server.admission_queue",
        "llama_server.slot_cache",
        "llama_server.suspects",
        "errors",
    },
    "llama_server.process.state": set(),
    "llama_server.process.watchdog": set(),  # a separate program
    # Composition of the parts.
    "managed": {"backends", "llama_server", "errors"},
    "banner": {"web", "settings", "tiny_model"},
    "logging_setup": {"settings", "printable"},
    "admin_client": {"web", "settings"},
    "app": {
        "backends",
        "completion",
        "dialects",
        "llama_server",
        "managed",
        "settings",
        "tiny_model",
        "web",
        "errors",
    },
    "cli": {
        "",
        "admin_client",
        "app",
        "banner",
        "dialects",
        "llama_server",
        "logging_setup",
        "parsing",
        "settings",
        "web",
        "errors",
        "printable",
    },
    "": {"app", "dialects"},  # proxy/__init__.py
    "__main__": {"cli"},
}
LINES, STATEMENTS = 360, 240
FILES = sorted(ROOT.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _entry(name: str) -> str:
    """Return the most specific entry of ALLOWED for a module."""
    while name and name not in ALLOWED:
        name = name.rpartition(".")[0]
    return name


def _imports(path: Path) -> set[str]:
    """Return the modules of this project that a file imports, without the leading `proxy.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "proxy":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.partition(".")[0] == "proxy"}
    return {name.removeprefix("proxy").removeprefix(".") for name in found}


def _is_statement(node: ast.AST) -> bool:
    """Return whether a node is a statement; docstrings do not count."""
    is_text = (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
    return isinstance(node, ast.stmt) and not is_text


def _is_allowed(imported: str, importer: str) -> bool:
    entry, target = _entry(importer), _entry(imported)
    return target == entry or any(
        target == allowed or (allowed and target.startswith(f"{allowed}."))
        for allowed in ALLOWED[entry]
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_the_table_allows(path: Path) -> None:
    importer = _name(path)
    assert [
        imported for imported in sorted(_imports(path)) if not _is_allowed(imported, importer)
    ] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_one_can_read(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    assert sum(map(_is_statement, ast.walk(ast.parse(text)))) <= STATEMENTS


def test_every_module_has_an_entry() -> None:
    assert [_name(path) for path in FILES if not _entry(_name(path)) and path.parent != ROOT] == []
    assert [
        path.stem
        for path in FILES
        if path.parent == ROOT and path.stem != "__init__" and path.stem not in ALLOWED
    ] == []


def test_every_entry_is_a_module_or_package() -> None:
    assert {name for name in ALLOWED if name} <= {_name(path) for path in FILES}
