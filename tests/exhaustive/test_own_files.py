"""The files of this project, full of markers, quoted and as arguments."""

import json
from pathlib import Path

import pytest

from proxy.dialects import Parser
from tests.dialects.renderers import WRITTEN
from tests.dialects.test_no_false_alarms import ENDS_IT, MODELS, ROOT, VARIOUS, made, pieces
from tests.documents import PAGES
from tests.exhaustive.test_laws import as_json, as_tags
from tests.parsing.cuts import TOOLS, Call, Seen, always, events_of, few, seen

OURS = [
    *sorted(path for folder in ("proxy", "tests") for path in (ROOT / folder).rglob("*.py")),
    *PAGES,
]


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_our_own_files(path: Path) -> None:
    """In a closed fence, and as an argument of a call in several dialects."""
    source = path.read_text(encoding="utf-8")
    fence = "~" * 12
    quoted = f"Here it is:\n{fence}python\n{source}\n{fence}\nThat was it."
    assert made(quoted) == Seen(quoted)
    for name in VARIOUS[:3]:
        text = WRITTEN[name].render([("write", {"path": path.name, "content": source})])
        assert made(text) == Seen("", (Call("write", {"path": path.name, "content": source}),)), (
            name
        )


def test_the_corpus_in_fences() -> None:
    for text in MODELS:
        quoted = f"Such an answer:\n~~~~~~\n{text}\n~~~~~~\nWhat of it?"
        assert always(lambda: Parser(TOOLS), quoted, cuttings=few(quoted)) == Seen(quoted)
        alone = f"~~~~~~\n{text}\n~~~~~~\nWhat of it?"
        assert made(alone) == Seen(alone)


@pytest.mark.parametrize("name", VARIOUS)
def test_the_corpus_as_an_argument(name: str) -> None:
    for text in MODELS:
        if ENDS_IT.get(name, "\0") in text:
            continue
        call = Call("write", {"path": "x", "content": f"So:\n{text}\nSee?"})
        assert made(WRITTEN[name].render([(call.name, call.arguments)])) == Seen("", (call,)), (
            json.dumps(text)
        )


HEART = [
    path
    for folder in (
        "proxy/parsing",
        "proxy/parsing/grammars",
        "proxy/dialects",
        "tests/parsing",
        "tests/parsing/grammars",
        "tests/dialects",
    )
    for path in sorted((Path(__file__).parents[2] / folder).glob("*.py"))
]


@pytest.mark.parametrize("path", HEART, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_our_own_source_is_text_and_can_be_written(path: Path) -> None:
    """It is full of markers. Quoted it is no call, and as an argument it arrives as it is."""
    source = path.read_text(encoding="utf-8").replace("```", "'''").strip("\n")
    quoted = f"Here it is:\n```python\n{source}\n```\nThat was it."
    assert seen(events_of(Parser(TOOLS), pieces(quoted))) == Seen(quoted)
    for written in (as_tags, as_json):
        assert seen(
            events_of(Parser(TOOLS), pieces(written({"content": source, "path": "x.py"})))
        ) == Seen("", (Call("write", {"content": source, "path": "x.py"}),))
