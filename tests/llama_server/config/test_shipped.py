"""The llama-server.conf that ships: it runs as it is, and every line that is commented out is
one that a real build takes.
"""

from pathlib import Path

from proxy.llama_server.config.catalog import ONLY_ONE, make_catalog
from proxy.llama_server.config.ini import ConfigEntry, read
from proxy.llama_server.config.model_config import FOR_ALL, PER_MODEL, CatalogSettings
from proxy.llama_server.config.options import Build, read_help, wheel_build
from tests.documents import DOCS, cells, words_in_code
from tests.llama_server.config.test_options import HELP
from tests.process.conftest import TINY
from tests.process.fake_server import ROOT

SHIPPED = ROOT / "llama-server.conf"


def entries(tmp_path: Path) -> list[ConfigEntry]:
    """Each line that is commented out, alone in a section of its own."""
    lines = [
        line.removeprefix("# ")
        for line in SHIPPED.read_text().splitlines()
        if line.startswith("# ") and " = " in line.partition("#")[2][:20]
    ]
    path = tmp_path / "all.conf"
    path.write_text("".join(f"[{number}]\n{line}\n" for number, line in enumerate(lines)))
    return [entry for section in read(path).models.values() for entry in section.values()]


def test_it_runs_as_it_is() -> None:
    found = make_catalog(read(SHIPPED), CatalogSettings(None, None, TINY, lambda name: None))
    assert [model.name for model in found.models] == ["tiny-toolcaller"]


def test_every_line_that_it_shows_is_one_that_a_build_takes(tmp_path: Path) -> None:
    found = entries(tmp_path)
    ours = {entry.key for entry in found} & {*PER_MODEL, *FOR_ALL}
    assert ours == {*PER_MODEL, *FOR_ALL} - {"hf", "hf-repo"}
    build = Build(read_help(HELP), "", "")
    options = [entry for entry in found if entry.key not in ours]
    assert len(options) > 15
    for entry in options:
        assert build.flags([entry])
    wheel = wheel_build()
    refused = {entry.key for entry in options if not wheel.knows(entry.key)}
    assert refused == {"device"}
    assert set(ONLY_ONE) <= set(PER_MODEL)


def test_the_documentation_shows_the_keys_that_there_are() -> None:
    table = cells(DOCS / "configuration.md", "| Key | Description |")
    keys = {key for row in table for key in words_in_code(row[0])}
    known = read_help(HELP).keys()
    assert {*PER_MODEL, *FOR_ALL} - {"hf", "hf-repo"} <= keys
    assert keys <= {*known, *PER_MODEL, *FOR_ALL}
