"""One file among the models that is not as it should be: the others are served, and it is shown
as what it is.
"""

import os
import shutil
import struct
from pathlib import Path

import pytest

from proxy.app import Bridge, create_app
from proxy.cli import main
from proxy.llama_server import ConfigurationError
from proxy.settings import load
from tests.asgi import ask
from tests.llama_server.config.test_gguf import LIST, LLAMA, made
from tests.llama_server.config.test_options import HELP, program
from tests.process.conftest import TINY

ODD = {
    b"caf\xe9.gguf": r"caf\xe9",
    b"\x1b[2Jclear.gguf": r"\x1b[2Jclear",
    b"two\nlines.gguf": r"two\nlines",
    "\u202egpj".encode() + b".gguf": r"\u202egpj",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some models with odd names, and some files that are no models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "models"
    place.mkdir()
    for name in ODD:
        shutil.copy(TINY, Path(os.fsdecode(os.fsencode(place) + b"/" + name)))
    (place / "deep.gguf").write_bytes(LIST + struct.pack("<IQ", 9, 1) * 900)
    Path(os.fsdecode(os.fsencode(place) + b"/bad\xff\x1b\n.gguf")).write_bytes(b"GGUF")
    made(
        place / "paint.gguf",
        LLAMA | {"general.architecture": "\x1b[2J\n", "general.name": "\x1b[31m"},
    )
    return place


def served(folder: Path) -> Bridge:
    """By a llama-server that opens whatever the system opens."""
    engine = program(folder.parent / "llama-server", HELP, folder.parent / "asked")
    return create_app(load({"LLAMA_MODEL": str(folder), "LLAMA_SERVER": str(engine)}))


def test_the_table_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["models", str(folder)])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    rows = out.splitlines()
    assert {row.split("  ")[0] for row in rows[1:6]} == {*ODD.values(), "paint"}
    assert r"\x1b[2J\n" in next(row for row in rows if row.startswith("paint"))
    assert [row.rpartition("/")[2] for row in rows[6:]] == [
        r"bad\xff\x1b\n.gguf: the header is incomplete; download the file again",
        "deep.gguf: arrays nested deeper than 4",
    ]


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/"])
async def test_every_page_is_served(path: str, folder: Path) -> None:
    app = served(folder)
    call = await ask(app, path)
    assert call.status in (200, 503)
    assert call.json
    if path == "/v1/models":
        assert {model["id"] for model in call.json["data"]} == {*ODD.values(), "paint"}


def test_the_engine_is_given_the_file_as_it_is_called(folder: Path) -> None:
    app = served(folder)
    assert app.pool is not None
    commands = [model.launch.command(1) for model in app.pool.catalog.models]
    files = {
        os.path.basename(os.fsencode(command[command.index("-m") + 1])) for command in commands
    }
    assert files == {*ODD, b"paint.gguf"}
    for command in commands:
        assert command[command.index("--alias") + 1].isprintable()


def test_what_the_engine_of_the_wheel_cannot_open_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    app = create_app(load({"LLAMA_MODEL": str(folder)}))
    assert app.pool is not None
    found = app.pool.catalog
    assert {model.name for model in found.models} == {*ODD.values(), "paint"} - {r"caf\xe9"}
    (note,) = [note for note in found.notes if "is not UTF-8" in note]
    assert note.endswith("cannot open; rename it")
    bad = next(path for path in folder.iterdir() if path.name.startswith("caf"))
    with pytest.raises(ConfigurationError, match=r"the file name is not UTF-8"):
        create_app(load({"LLAMA_MODEL": str(bad)}))


async def test_a_reload_that_meets_it(folder: Path) -> None:
    app = served(folder)
    (folder / "deep2.gguf").write_bytes(LIST + struct.pack("<IQ", 9, 1) * 900)
    call = await ask(app, "/reload", method="POST")
    assert (call.status, call.json) == (200, {"changed": []})


def test_models_of_one_name(tmp_path: Path) -> None:
    for place in ("a.gguf", "x/a.gguf", "y/x/a.gguf", "z/x/a.gguf"):
        made(tmp_path / place, LLAMA)
    app = create_app(load({"LLAMA_MODEL": str(tmp_path)}))
    assert app.pool is not None
    assert sorted(model.name for model in app.pool.catalog.models) == [
        "a",
        "x/a",
        "x/a-2",
        "x/a-3",
    ]


def test_a_name_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["serve", "--llama-model", str(tmp_path / "no\udcff\x1b[2J")])
    assert r"no\xff\x1b[2J" in capsys.readouterr().err
