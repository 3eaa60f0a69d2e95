"""JSON as models write it, in every cutting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.parsing.grammars.json_text import EndMarkers, StringContext, key, string, value
from proxy.parsing.reader import Reader, Steps
from tests.parsing.cuts import LAWS, everywhere

ENDS = ("</end>",)


def written(
    text: str, place: StringContext = "alone", ends: EndMarkers = ENDS, *, cut: bool = False
) -> tuple[bool, str, str]:
    def steps(read: Reader) -> Steps[tuple[bool, str]]:
        parts: list[str] = []
        whole = yield from value(read, parts.append, place, ends)
        return whole, "".join(parts)

    (whole, out), rest = everywhere(steps, text, cut=cut)
    return whole, out, rest


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"a": 1, "b": [true, null, "x"], "c": {}}', {"a": 1, "b": [True, None, "x"], "c": {}}),
        ("[]", []),
        ("{'a': True, 'b': None, 'c': 'it\\'s'}", {"a": True, "b": None, "c": "it's"}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}),
        ('{"a": "x" "b": "y"}', {"a": "x", "b": "y"}),
        ('["a" "b"]', ["a", "b"]),
        ('{a: 1, b_c: "x"}', {"a": 1, "b_c": "x"}),
        ('{"a": word}', {"a": "word"}),
        (
            '{"a": NaN, "b": 1e999, "c": -0.5e2, "d": 007}',
            {"a": "NaN", "b": "1e999", "c": -50.0, "d": 7},
        ),
        ('{"a": "say "hi" now", "b": 1}', {"a": 'say "hi" now', "b": 1}),
        ('{"a": "he said: "so, be it""}', {"a": 'he said: "so, be it"'}),
        ('{"a": "x", }', {"a": "x"}),
        ('{"a": "x", b: 1}', {"a": "x", "b": 1}),
        ('["say "hi", or not", "x"]', ['say "hi", or not', "x"]),
        ('{"a": "\\u00e9\\ud83c\\udf3f\\t\\/"}', {"a": "é🌿\t/"}),
        ('{"a": "\\ud83c"}', {"a": "\ufffd"}),
        ('{"a": "\\ud83cx"}', {"a": "\ufffdx"}),
        ('{"a": "\\ud83c\\n"}', {"a": "\ufffd\n"}),
        ('{"a": "\\u12"}', {"a": "\\u12"}),
        ('{"a": "\\d\\n"}', {"a": "\\d\\n"}),
        ('{"a": "C:\\dir\\new"}', {"a": "C:\\dir\\new"}),
        ('{"a": "C:\\new\\"}', {"a": "C:\\new\\"}),
        ('{"a": "C:\\new \\"x\\" \\\\y"}', {"a": 'C:\\new "x" \\y'}),
        ('{"a": "C:\\\\new"}', {"a": "C:\\new"}),
        ('{"a": "C"}', {"a": "C"}),
        ('{"a": 15:30, "b": 2}', {"a": "15:30", "b": 2}),
        ('{"a": 15:30}', {"a": "15:30"}),
        ('{"a": big green fern, "b": [15:30, 1 2]}', {"a": "big green fern", "b": ["15:30", 1, 2]}),
        ('{"a": true story\n}', {"a": "true story"}),
        ('{"a": 5 b: 6}', {"a": 5, "b": 6}),
        ('{"a": "say "x"} y", "b": 1}', {"a": 'say "x"} y', "b": 1}),
        ("{'a': 'it's', 'b': 'it's'}", {"a": "it's", "b": "it's"}),
        ('{"a": [1}', {"a": [1]}),
        ('"x"', "x"),
        ("5", 5),
        ('{"a": "x", "' + "k" * 300 + '": 1}', {"a": "x", "k" * 300: 1}),
        ('{"a": "x"' + " " * 300 + "}", {"a": "x"}),
        ('{"a": "b", "c\\"": 1}', {"a": "b", 'c"': 1}),
        ('{"a": {"b": "c"}, "d": "e"}', {"a": {"b": "c"}, "d": "e"}),
    ],
)
def test_what_is_meant(text: str, meant: Any) -> None:
    whole, out, rest = written(text)
    assert rest == ""
    assert whole
    assert json.loads(out) == meant


@pytest.mark.parametrize(
    ("text", "out", "rest"),
    [
        ('{"a": "x"</end>', '{"a":"x"}', "</end>"),
        ('{"a": ["x" </end>', '{"a":["x"]}', "</end>"),
        ('{"a": 5</end>', '{"a":5}', "</end>"),
        ('{"a": 1}}', '{"a":1}', "}"),
        ('[{"a": 1]', '[{"a":1}]', ""),
        ("5, 6", "5", ", 6"),
    ],
)
def test_missing_and_foreign_closers(text: str, out: str, rest: str) -> None:
    assert written(text) == (True, out, rest)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ('{"a": "x', '{"a":"x'),
        ('{"a": ', '{"a":'),
        ('{"a": }', '{"a":'),
        ('{"a": 1 ?', '{"a":'),
        ('{"a": 1', '{"a":'),
        ('{"a": nul', '{"a":'),
        ('{"a": 5 "x" 6}', '{"a":5'),
        ('{"a": f(x)}', '{"a":"f"'),
        ("", ""),
        ('{"a": [{"b": 1}', '{"a":[{"b":1}'),
        ('{"a": [{"b": "x"}]', '{"a":[{"b":"x"}]'),
        ('{"a": "x", "b', '{"a":"x"'),
        ('{"a": [1, 2 ', '{"a":[1,2'),
        ("{", "{"),
    ],
)
def test_what_broke_off(text: str, out: str) -> None:
    assert written(text)[:2] == (False, out)


@pytest.mark.parametrize(
    ("text", "out"), [('{"a": [1', '{"a":['), ('{"a": [1 ', '{"a":[1'), ('{"a": "x"', '{"a":"x"')]
)
def test_nothing_is_closed_in_a_cut_answer(text: str, out: str) -> None:
    assert written(text, cut=True)[:2] == (False, out)


@pytest.mark.parametrize(
    ("text", "found", "rest"),
    [
        (' , "a" : 1', "a", " 1"),
        ("a: 1", "a", " 1"),
        ("'a b': 1", "a b", " 1"),
        ('"a" 1', None, '"a" 1'),
        ("}", None, "}"),
        ("", None, ""),
        ('"a', None, '"a'),
        (" , ", None, " , "),
    ],
)
def test_key(text: str, found: str | None, rest: str) -> None:
    assert everywhere(key, text) == (found, rest)


@pytest.mark.parametrize(
    ("text", "place", "out", "rest"),
    [
        ('"a"b", x=1)', "call", 'a"b', ", x=1)"),
        ('"a", b", )', "call", 'a", b', ", )"),
        ('"a")', "call", "a", ")"),
        ('"a" x"', "alone", 'a" x', ""),
        ('"a" "b"]', "array", "a", ' "b"]'),
        ('"a""b"]', "array", 'a""b', "]"),
        ('"a",', "array", "a", ","),
        ('"a",', "object", "a", ","),
    ],
)
def test_where_a_string_ends(text: str, place: StringContext, out: str, rest: str) -> None:
    def steps(read: Reader) -> Steps[tuple[bool, str]]:
        parts: list[str] = []
        whole = yield from string(read, parts.append, place, ENDS)
        return whole, "".join(parts)

    assert everywhere(steps, text) == ((True, out), rest)


def test_depth_is_no_recursion() -> None:
    text = "[" * 5000 + "]" * 5000
    assert written(text) == (True, text, "")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@LAWS
@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_well_formed_json_means_what_it_says(
    meant: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(meant, ensure_ascii=ascii_only, indent=indent)
    read, parts = Reader(), list[str]()
    steps = value(read, parts.append, "alone", ENDS)
    next(steps)
    for letter in text:
        read.push(letter)
        if next(steps, "over") == "over":
            break
    else:
        read.end()
        assert next(steps, "over") == "over"
    assert json.loads("".join(parts)) == meant
