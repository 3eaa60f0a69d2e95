"""What README promises is what the program has."""

import re
from pathlib import Path

from proxy.backends import KINDS
from proxy.dialects import DIALECTS
from proxy.settings import Settings, load
from proxy.web.snippets import opencode
from tests import jsonc

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows() -> list[str]:
    shown: list[str] = []
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown.append(
            f"| `{name.upper()}` | {f'`{default}`' if default not in (None, '') else ''} | "
            f"{field.description} |"
        )
    return shown


def test_the_table_of_options_is_the_list_of_options() -> None:
    table = README[README.index("| Option | Default |") :].partition("\n\n")[0]
    assert table.split("\n")[2:] == rows()


def test_the_options_named_in_the_text_exist() -> None:
    named = set(
        re.findall(r"\b((?:BACKEND|PROXY|ALLOWED|CORS|MAX|LOG|TOOL|LLAMA|ZEN)_[A-Z_]+)\b", README)
    )
    assert named <= {name.upper() for name in Settings.model_fields}
    assert len(named) > 8


def test_every_dialect_is_named() -> None:
    table = README[README.index("| Dialects |") :].partition("\n\n")[0]
    named = [
        name for row in table.split("\n")[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert sorted(named) == sorted(DIALECTS)


def test_the_snippet_for_opencode_is_the_one_that_is_printed() -> None:
    shown = README[README.index("```json\n") + 8 :].partition("```")[0]
    printed = opencode("http://127.0.0.1:8081", None, "my-model", 32768)
    assert jsonc.parsed(shown) == jsonc.parsed(printed)
    assert jsonc.COMMENT.findall(shown) == jsonc.COMMENT.findall(printed)
    assert '"permission": {"bash": "ask"}' in shown
    assert load({}).proxy_port == 8081


def test_what_a_person_reads_is_what_make_says() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for words in (
        "llama-bridge needs Python 3.11 or newer. Found: ",
        "has no venv module, which the private environment is made with.",
    ):
        assert words in makefile
        assert words in README


def test_each_command_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z-]+)", README))
    assert named >= {
        "run",
        "test",
        "setup",
        "test-opencode",
        "test-clients",
        "test-llama-cpp-python",
    }
    assert all(f"\n{name}:" in makefile for name in named)


def test_every_kind_of_server_has_its_row() -> None:
    table = README[README.index("| Kind | What is done for it |") :].partition("\n\n")[0]
    assert {row.split("`")[1] for row in table.split("\n")[2:]} == {kind.kind for kind in KINDS}
