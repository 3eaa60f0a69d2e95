"""Who may know whom: an arrow upwards is a defect. And how large things may grow."""

import ast
from pathlib import Path

import pytest

import proxy

HOUSE = Path(proxy.__file__).parent
ROOMS = {
    "web": {
        "requests",
        "conversations",
        "protocols",
        "backends",
        "dialects",
        "stream",
        "settings",
        "errors",
        "printable",
        "web",
    },
    "backends": {"stream", "requests", "errors", "backends"},
    "protocols": {"stream", "errors", "protocols"},
    "conversations": {"stream", "errors", "conversations"},
    "dialects": {"stream", "errors", "dialects"},
    "requests": {"stream", "errors", "requests"},
    "stream": {"stream"},
    "llama_server": {"errors", "printable", "llama_server"},
    "tiny_model": {"tiny_model"},
    "errors": {"printable"},
    "printable": set(),
    "logbook": {"printable", "settings"},
    "settings": {"errors", "backends", "dialects"},
}
EVERYTHING = {
    "app",
    "command_line",
    "doctor",
    "model_table",
    "own_models",
    "remote",
    "server",
    "welcome",
    "__init__",
    "__main__",
}
LINES, STATEMENTS = 350, 240
FILES = sorted(path for path in HOUSE.rglob("*.py"))


def _room(path: Path) -> str:
    inside = path.relative_to(HOUSE)
    return inside.parts[0].removesuffix(".py")


def _known(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: imports are written in full"
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names}
                if node.module == "proxy"
                else {node.module}
            )
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("proxy.")}


def _is_statement(node: ast.AST) -> bool:
    """Docstrings do not count."""
    is_text = (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
    return isinstance(node, ast.stmt) and not is_text


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_nobody_knows_whom_it_must_not(path: Path) -> None:
    room = _room(path)
    if room not in EVERYTHING:
        assert _known(path) <= ROOMS[room]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_file_grows_beyond_what_one_can_read(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    assert sum(map(_is_statement, ast.walk(ast.parse(text)))) <= STATEMENTS


def test_every_room_is_named_in_the_map() -> None:
    rooms = {_room(path) for path in FILES} - EVERYTHING
    assert rooms <= ROOMS.keys()


def test_the_life_of_the_child_is_a_table_and_knows_nobody() -> None:
    assert _known(HOUSE / "llama_server" / "life.py") <= {"llama_server"}
