"""The documentation agrees with the program."""

import re
from pathlib import Path
from typing import Any

import pytest

from proxy import app, errors
from proxy.backends import KINDS
from proxy.backends.base import Backend
from proxy.backends.server_info import ModelsResponse as ModelList
from proxy.cli.main import main
from proxy.dialects import DIALECTS
from proxy.errors import BridgeError
from proxy.parsing import quoting
from proxy.parsing.dialect import Dialect
from proxy.parsing.parser import ChoiceParser
from proxy.settings import Settings
from proxy.web.snippets import opencode
from tests import jsonc
from tests.documents import (
    DOCS,
    PAGES,
    ROOT,
    anchors,
    block,
    cells,
    links,
    prose,
    rows,
    words_in_code,
)
from tests.parsing.cuts import Call, Seen, always, tool

MAKEFILE = (ROOT / "Makefile").read_text()
EVERYTHING = "\n".join(page.read_text() for page in PAGES)
SETTING = re.compile(r"\b((?:BACKEND|PROXY|ALLOWED|CORS|MAX|LOG|TOOL|LLAMA|ZEN)_[A-Z_]+)\b")
PRIVATE_WORDS = re.compile(
    r"\b(nobody|somebody|whoever|whom|anew|told|at last|stands before|is said|"
    r"house|door|desk|shelf)\b",
    re.IGNORECASE,
)
"""They do not belong to the language of the field, or to plain English."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_its_lines_fit_into_a_hundred_columns(page: Path) -> None:
    assert [line for line in prose(page) if len(line) > 100] == []


@each_page
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_it_has_no_private_words(page: Path) -> None:
    assert PRIVATE_WORDS.findall(page.read_text()) == []


def test_the_code_has_no_private_words() -> None:
    files = [*(ROOT / "proxy").rglob("*.py"), *(ROOT / "proxy").rglob("*.html"), ROOT / "Makefile"]
    found = {
        file.name: words for file in files if (words := PRIVATE_WORDS.findall(file.read_text()))
    }
    assert found == {}


def test_the_names_of_tests_have_no_private_words() -> None:
    names = [
        name.replace("_", " ")
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    ]
    assert [name for name in names if PRIVATE_WORDS.search(name)] == []


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_readme_leads_to_it(page: Path) -> None:
    assert f"docs/{page.name}" in [link.partition("#")[0] for link in links(ROOT / "README.md")]


def settings_as_rows() -> list[str]:
    shown: list[str] = []
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown_default = f"`{default}`" if default not in (None, "") else ""
        shown.append(f"| `{name.upper()}` | {shown_default} | {field.description} |")
    return shown


def test_the_table_of_settings_is_the_list_of_settings() -> None:
    assert rows(DOCS / "configuration.md", "| Setting | Default |") == settings_as_rows()


def test_the_settings_named_in_the_text_exist() -> None:
    named = set(SETTING.findall(EVERYTHING)) - {"LLAMA_ARG_"}
    assert named <= {name.upper() for name in Settings.model_fields}
    assert len(named) > 15


def test_the_dialects_in_the_table_exist_and_are_named_once() -> None:
    table = cells(DOCS / "dialects.md", "| Dialects |")
    named = [name for row in table for name in words_in_code(row[0])]
    assert sorted(named) == sorted(set(named) & set(DIALECTS))


def test_every_law_of_the_parser_has_a_test_that_names_it() -> None:
    laws = (DOCS / "architecture.md").read_text().partition("## The laws of the parser")[2]
    numbers = re.findall(r"^(\d)\. \*\*", laws, re.MULTILINE)
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert numbers == sorted(set(re.findall(r"^def test_law_(\d)_", tests, re.MULTILINE)))
    assert len(numbers) == 8


def test_every_rule_for_quoted_calls_is_explained_once() -> None:
    rules = {quoting.CODE, quoting.COMMENT, quoting.REPEATED, quoting.OTHER_DIALECT, quoting.BARE}
    rules |= {rule for rule, _ in quoting.LINES} | {mark.rule for mark in quoting.MARKS.values()}
    rules |= {"list", "indented"}
    table = cells(DOCS / "dialects.md", "| Word | Where the call stands |")
    assert sorted(word for row in table for word in words_in_code(row[0])) == sorted(rules)


def test_every_kind_of_server_has_its_row() -> None:
    table = cells(DOCS / "backends.md", "| Kind | What llama-bridge does for it |")
    assert sorted(words_in_code(row[0])[0] for row in table) == sorted(kind.kind for kind in KINDS)


def leaves(kind: type[BridgeError] = BridgeError) -> list[type[BridgeError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


def test_every_error_has_its_row() -> None:
    table = {
        words_in_code(code)[0]: (status, retry)
        for status, code, retry, _ in cells(DOCS / "api.md", "| Status | Code | Retry |")
    }
    # ClientError itself is not raised, only its subclasses.
    raised = [leaf for leaf in leaves() if leaf is not errors.ClientError]
    assert table.keys() == {leaf.code for leaf in raised}
    for leaf in raised:
        status, retry = table[leaf.code]
        assert status.split()[0] == str(leaf.status), leaf
        assert retry.startswith("yes" if leaf.retryable else "no"), leaf


def test_every_endpoint_has_its_row() -> None:
    paths = re.findall(r'Route\("([^"]+)"', Path(app.__file__).read_text())
    served = {path.replace(":path}", "}") for path in paths}
    table = cells(DOCS / "api.md", "| Path | Methods |")
    shown = {path for row in table for path in words_in_code(row[0])}
    assert shown == served | {"/upstream", "/upstream/{path}"}
    assert len(served) > 8


def test_the_file_for_opencode_is_the_one_that_is_printed() -> None:
    page = DOCS / "configuration.md"
    shown, printed = block(page, "json"), opencode("http://127.0.0.1:8081", None, "my-model", 32768)
    assert jsonc.parsed(shown) == jsonc.parsed(printed)
    assert jsonc.COMMENT.findall(shown) == jsonc.COMMENT.findall(printed)
    assert '"permission": {"bash": "ask"}' in shown


def test_the_messages_of_make_are_explained() -> None:
    table = "\n".join(rows(DOCS / "troubleshooting.md", "| Message |"))
    for words in (
        "llama-bridge needs Python 3.11 or newer. Found: ",
        "has no venv module, which the private environment is made with.",
    ):
        assert words in MAKEFILE
        assert words in table


def test_each_command_of_make_that_is_named_exists() -> None:
    named = set(re.findall(r"(?:`|^    |^)make ([a-z-]+)", EVERYTHING, re.MULTILINE))
    slow = {"test-opencode", "test-clients", "test-llama-cpp-python", "test-browser", "test-load"}
    assert named >= {"run", "check", "test", "setup", "fuzz", *slow}
    assert all(f"\n{name}:" in MAKEFILE for name in named)


def test_each_command_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE))
    named = set(re.findall(r"(?:`|bin/)llama-bridge ([a-z]+)", EVERYTHING))
    assert named - {"needs"} <= known  # the start of an error message, not a command
    assert known == {"serve", "parse", "doctor", "models", "reload", "logs", "dialects", "key"}


def example(page: str) -> dict[str, Any]:
    """Run the code block of a page, and return the names that it defines."""
    names: dict[str, Any] = {}
    exec(compile(block(DOCS / page, "python"), page, "exec"), names)
    return names


def test_the_worked_example_of_a_dialect_reads_its_sample() -> None:
    dialect: Dialect = example("adding-a-dialect.md")["DIALECT"]
    tools = [tool("write_file", path={"type": "string"})]
    call = Call("write_file", {"path": "notes.md"})
    inner = dialect.sample.removeprefix("<acme:calls>\n").removesuffix("\n</acme:calls>")
    for text in (dialect.sample, f"{dialect.sample}<|acme_end|>", inner):
        read = always(
            lambda: ChoiceParser(
                tools, dialects=[dialect], reasoning_tags=(), end_tokens=dialect.end_tokens
            ),
            text,
        )
        assert read == Seen("", (call,))


def test_the_worked_example_of_a_backend_does_what_it_says() -> None:
    acme = example("adding-a-backend.md")["Acme"]
    assert acme.matches(ModelList({}, [{"owned_by": "acme"}]))
    assert acme(None, None).map_error(500, b'{"error": "the queue is full"}', {}).status == 429
    assert acme(None, None).map_error(500, b'{"error": "no"}', {}).status == 500


def test_every_member_in_the_table_can_be_overridden() -> None:
    members = [
        words_in_code(row[0])[0] for row in cells(DOCS / "adding-a-backend.md", "| Member |")
    ]
    assert all(name == "kind" or hasattr(Backend, name) for name in members)
