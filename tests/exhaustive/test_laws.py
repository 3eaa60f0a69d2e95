"""The laws of the parser, each attacked with generated answers; docs/architecture.md lists them."""

import json
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.dialects import Parser
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Content
from proxy.parsing.parser import ThinkingMode
from tests.parsing.cuts import LAWS, TOOLS, Call, Seen, events_of, seen, tool

CALL = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'

HOSTILE = (
    *(
        "</parameter> x",
        "</function> y",
        "<tool_call>",
        "</tool_call> z",
        "<parameter=q>",
        "<parameter",
        "</think>",
        "<think>",
        "<|im_end|>",
    ),
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
        "{",
        "}",
        "},",
        '": ',
        " ",
        "`",
        "```\n",
    ),
    *("C:\\dir", "🚀", "é", "x", "42", "null"),
)
RUBBISH = (
    *HOSTILE,
    *(
        "</tool_call>",
        "</function>",
        "</parameter>",
        "<function=water>",
        "<function=list_drones>",
        "<parameter=plant>",
        "\n<parameter=litres>",
    ),
    *(
        '{"name": ',
        '"water"',
        ', "arguments": ',
        '{"plant": "a"}',
        "[",
        "]",
        "water(",
        'plant="a"',
        ")",
        "<tools>",
        "<tool>",
        "<water>",
    ),
    *(
        "</water>",
        "~~~\n",
        "```json\n",
        "</s>",
        "<thinking>",
        "</thinking>",
        ".",
        "Done.",
        "\\u",
        "d83d",
        "\ud83d",
        "\ude00",
    ),
    *(CALL, "<tool_call>\n<function=water>\n<parameter=plant>\n"),
)

texts = st.lists(st.sampled_from(HOSTILE), max_size=8).map("".join)
rubbish = st.lists(st.sampled_from(RUBBISH), max_size=14).map("".join)
modes = st.sampled_from(["tags", "forced", "off"])
finishes = st.sampled_from(["stop", "length", "error"])


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@LAWS
@given(st.data(), rubbish, modes, finishes, st.sampled_from(["auto", "hermes", "qwen3_coder"]))
def test_law_1_chunking_changes_nothing(
    data: st.DataObject, text: str, mode: ThinkingMode, finish: str, dialect: str
) -> None:
    whole = events_of(Parser(TOOLS, dialect, mode), [text], finish)
    assert events_of(Parser(TOOLS, dialect, mode), text, finish) == whole
    assert events_of(Parser(TOOLS, dialect, mode), data.draw(cut(text)), finish) == whole


@LAWS
@given(rubbish, finishes)
@example("``` <tool_call>", "stop")
@example(" \n ", "stop")
def test_law_2_text_that_is_not_a_call_is_returned_word_for_word(text: str, finish: str) -> None:
    parser = Parser(TOOLS, thinking="off")
    found = seen(events_of(parser, [text], finish))
    assert parser.grammar_failures == {}
    if not found.calls:
        assert found.content == text.encode("utf-16-le", "surrogatepass").decode(
            "utf-16-le", "replace"
        )


@LAWS
@given(
    st.sampled_from(
        [
            "<",
            "<tool_c",
            "</",
            "`",
            "```",
            "<tool_call",
            '{"name',
            "a<thi",
            "</think",
            " ",
            "\n",
            "é<",
        ]
    ),
    st.text(max_size=20),
)
def test_law_2_a_plain_answer_is_exact_to_its_last_letter(end: str, start: str) -> None:
    assert seen(events_of(Parser(TOOLS), start + end)) == Seen(start + end)


def as_tags(arguments: dict[str, str]) -> str:
    values = "".join(
        f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items()
    )
    return f"<tool_call>\n<function=write>\n{values}</function>\n</tool_call>"


def as_json(arguments: dict[str, str]) -> str:
    return f"<tool_call>\n{json.dumps({'name': 'write', 'arguments': arguments})}\n</tool_call>"


def as_loose_json(arguments: dict[str, str]) -> str:
    """With raw newlines in its strings."""
    members = ", ".join(f'"{key}": "{_loose(value)}"' for key, value in arguments.items())
    return f'<tool_call>{{"name": "write", "arguments": {{{members}}}}}</tool_call>'


def _loose(text: str) -> str:
    return "\n".join(json.dumps(line, ensure_ascii=False)[1:-1] for line in text.split("\n"))


@LAWS
@given(
    st.data(),
    st.dictionaries(st.sampled_from(["path", "content", "text"]), texts, max_size=3),
    st.sampled_from([as_tags, as_json, as_loose_json]),
)
def test_law_3_arguments_are_one_valid_json_object(
    data: st.DataObject, arguments: dict[str, str], written: object
) -> None:
    assert callable(written)
    text = f"So:\n{written(arguments)}"
    found = Seen("So:\n", (Call("write", arguments),))
    assert seen(events_of(Parser(TOOLS), [text])) == found
    assert seen(events_of(Parser(TOOLS), text)) == found
    assert seen(events_of(Parser(TOOLS), data.draw(cut(text)))) == found


@LAWS
@given(texts, st.sampled_from([as_tags, as_json]))
def test_law_3_the_arguments_of_a_partial_call_never_parse(value: str, written: object) -> None:
    """Letter by letter: the arguments parse for the first time when the call is whole."""
    assert callable(written)
    parser, arguments, ended = Parser(TOOLS), "", False
    for letter in written({"content": value}):
        events = parser.feed(letter)
        arguments += "".join(event.text for event in events if isinstance(event, CallArguments))
        ended = ended or any(isinstance(event, CallEnd) for event in events)
        assert ended == _parses(arguments)
    assert ended


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@LAWS
@given(rubbish, modes)
def test_law_4_without_tools_there_are_no_calls(text: str, mode: ThinkingMode) -> None:
    assert seen(events_of(Parser([], thinking=mode), [text])).calls == ()
    if mode == "off":
        assert events_of(Parser(None, thinking=mode), [text]) == events_of(
            Parser([{}], thinking=mode), text
        )


@LAWS
@given(
    texts,
    st.sampled_from([as_tags, as_json]),
    st.sampled_from(["```\n{}\n```\nsee?", "```xml\n{}\n```\n\n```\n{}\n```\n", "so `{}` it is"]),
)
def test_law_4_a_quoted_call_is_text(value: str, written: object, around: str) -> None:
    assert callable(written)
    call = written({"content": value.replace("`", "").replace("~", "").replace("\n", " ")})
    text = "See:\n" + around.replace("{}", call)
    assert seen(events_of(Parser(TOOLS), [text])) == Seen(text)


@LAWS
@given(rubbish, modes, finishes)
def test_law_6_no_input_raises(text: str, mode: ThinkingMode, finish: str) -> None:
    parser = Parser(TOOLS, thinking=mode)
    seen(
        [
            *parser.feed_reasoning(text),
            *parser.feed(text),
            *parser.feed_reasoning(text[::-1]),
            *parser.native_call_started(),
            *parser.close(finish),
        ]
    )
    assert parser.grammar_failures == {}


@LAWS
@given(
    st.lists(
        st.sampled_from(
            [
                CALL,
                f"<think>{CALL}</think>",
                f"```\n{CALL}\n",
                "text",
                "<think>a</think>",
                "\n",
                "<function=list_drones>",
            ]
        ),
        max_size=8,
    )
)
def test_law_7_indexes_count_up_and_ids_are_unique(parts: Sequence[str]) -> None:
    events = events_of(Parser(TOOLS), parts)
    assert [event.index for event in events if isinstance(event, CallStart)] == list(
        range(len(seen(events).calls))
    )


def test_many_tools_are_no_trouble() -> None:
    tools = [tool(f"t{number}", a={"type": "string"}) for number in range(500)]
    assert seen(events_of(Parser(tools), [CALL.replace("list_drones", "t499")])) == Seen(
        "", (Call("t499", {}),)
    )


def test_law_5_a_plain_answer_is_sent_immediately() -> None:
    parser = Parser(TOOLS)
    assert [parser.feed(piece) for piece in ("Hel", "lo ", "you")] == [
        [Content("Hel")],
        [Content("lo ")],
        [Content("you")],
    ]
