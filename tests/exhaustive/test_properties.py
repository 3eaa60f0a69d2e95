"""Generated calls in every dialect, with texts that attack it; and rubbish."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.dialects import DIALECTS, Parser
from tests.dialects.renderers import WRITTEN, Arguments
from tests.parsing.cuts import Call, Seen, events_of, examples, seen, tool

SOME = examples(12)
TOOLS = [
    tool("write", path={"type": "string"}, content={"type": "string"}),
    tool(
        "mix",
        text={"type": "string"},
        count={"type": "integer"},
        ratio={"type": "number"},
        ok={"type": "boolean"},
    ),
    tool(
        "nest",
        items={"type": "array"},
        extra={"type": "object"},
        note={"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    tool("list_drones"),
]

MARKERS = sorted(
    {
        marker
        for one in DIALECTS.values()
        for marker in (*one.openers, *one.headers, *one.end_tokens)
    }
)
PIECES = (
    *(
        '"',
        "'",
        "\\",
        "\\n",
        "\n",
        "\t",
        "\x00",
        "\u2028",
        "<",
        "</",
        ">",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "},",
        '": ',
        ", ",
        "=",
        "`",
        "|",
        "/",
    ),
    *(
        "</think>",
        "<think>",
        "C:\\dir",
        "🚀",
        "é",
        "x",
        "42",
        "null",
        " ",
        "<b>",
        "</b>",
        "&lt;",
        "function",
        "call:",
        "name",
        "to=",
        ":0",
    ),
)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
texts = st.lists(st.sampled_from(PIECES) | words, max_size=8).map("".join)
loud = st.lists(
    st.sampled_from(PIECES) | st.sampled_from(MARKERS).map(lambda marker: marker + " x"), max_size=6
).map("".join)
plain = st.text("abcxyz ÄÖ日", min_size=1, max_size=8).map(lambda text: text.strip() or "x")
numbers = st.integers(-(2**70), 2**70)
ratios = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda value: "e" not in repr(value)
)
keys = st.from_regex(r"[a-z]{1,5}", fullmatch=True).filter(lambda key: key != "item")
inner = st.recursive(
    plain | st.integers(-99, 99) | st.booleans() | st.none(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(keys, one, max_size=3),
    max_leaves=5,
)
SHAPES: dict[str, Any] = {
    "write": {"path": texts, "content": texts},
    "mix": {"text": texts, "count": numbers, "ratio": ratios, "ok": st.booleans()},
    "nest": {
        "items": st.lists(inner, max_size=3),
        "extra": st.dictionaries(keys, inner, max_size=3),
        "note": st.none() | texts.filter(lambda text: text.strip() not in ("null", "None")),
    },
    "list_drones": {},
}


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[str, Arguments]]:
    names = draw(st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=3))
    return [(name, draw(st.fixed_dictionaries({}, optional=SHAPES[name]))) for name in names]


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.parametrize("name", WRITTEN)
@SOME
@given(st.data())
def test_what_is_written_is_read(name: str, data: st.DataObject) -> None:
    meant = data.draw(calls())
    assume(not any(sign in repr(meant) for sign in WRITTEN[name].unsayable))
    text = WRITTEN[name].render(meant)
    found = Seen("", tuple(Call(*call) for call in meant))
    dialect = data.draw(st.sampled_from(["auto", name]))
    assert seen(events_of(Parser(TOOLS, dialect), [text])) == found
    assert seen(events_of(Parser(TOOLS, dialect), data.draw(pieces(text)))) == found


@pytest.mark.parametrize("name", WRITTEN)
@SOME
@given(st.data())
def test_cutting_changes_nothing(name: str, data: st.DataObject) -> None:
    """Whatever stands in the values, and wherever it ends."""
    arguments = {"path": data.draw(loud), "content": data.draw(loud)}
    text = WRITTEN[name].render([("write", arguments)])
    text = (
        data.draw(st.sampled_from(["", "So:\n", "<think>a</think>"]))
        + text[: data.draw(st.integers(0, len(text)))]
        + data.draw(loud)
    )
    finish = data.draw(st.sampled_from(["stop", "length"]))
    whole = events_of(Parser(TOOLS), [text], finish)
    for cutting in (text, data.draw(pieces(text))):
        parser = Parser(TOOLS)
        assert events_of(parser, cutting, finish) == whole
        assert not parser.grammar_failures
    seen(whole)


@examples(100)
@given(
    st.lists(
        st.sampled_from(MARKERS)
        | st.sampled_from(PIECES)
        | st.sampled_from(["write", "list_drones", "\n", "```\n"]),
        max_size=12,
    )
)
def test_rubbish_is_text(parts: list[str]) -> None:
    text = "".join(parts)
    parser = Parser(TOOLS, thinking="off")
    events = events_of(parser, [text])
    found = seen(events)
    assert not parser.grammar_failures
    assert events_of(Parser(TOOLS, thinking="off"), text) == events
    if not found.calls and not any(
        header in text for one in DIALECTS.values() for header in one.headers
    ):
        assert found.content == text
