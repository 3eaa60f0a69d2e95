"""More text than may be held, in every dialect and at every place: it comes out, in linear time
and bounded memory, and no call twice.
"""

import re
import time
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest

from proxy.dialects import DIALECTS, END_TOKENS, UNKNOWN_MODEL, Parser, reasoning_tags, select
from proxy.parsing.events import CallEnd, CallStart, TextEvent
from proxy.parsing.grammars.raw_values import STRUCTURE_LIMIT
from proxy.parsing.parser import ChoiceParser
from proxy.parsing.reader import WORD_LIMIT
from tests.dialects.renderers import WRITTEN
from tests.parsing.cuts import Call, Seen, always, events_of, few, seen, tool

LIMIT = 500  # less than the depth at which Python's JSON parser gives up
TOOLS = [
    tool(
        "write",
        path={"type": "string"},
        litres={"type": "integer"},
        items={"type": "array"},
        content={"type": "string"},
    ),
    tool("list_drones"),
]
CALLS = [
    ("write", {"path": "a.txt", "litres": 7, "items": [1, {"a": "b"}], "content": "hello"}),
    ("list_drones", {}),
]
FLOODS = ("x", " ", "\n", '"', "'", "\\", "7", "[", "{", "`")
HELD = [name for name, written in WRITTEN.items() if written.weak or DIALECTS[name].weak]
"""Whether they are calls is known at their end only."""
LONG = "some <b>text</b>, é and so on\n" * (3 * LIMIT // 30)


def limited(tools: object = TOOLS) -> ChoiceParser:
    return ChoiceParser(
        tools,
        dialects=select("auto"),
        reasoning_tags=reasoning_tags(UNKNOWN_MODEL),
        end_tokens=END_TOKENS,
        held_limit=LIMIT,
    )


def floods(name: str, places: int) -> Iterator[tuple[str, str]]:
    """The beginnings of an answer, each with two of the texts that may never end, the dialect's
    own markers among them.
    """
    text = WRITTEN[name].render(CALLS)
    kinds = (*FLOODS, *DIALECTS[name].openers[:2], *WRITTEN[name].closers[:2])
    ends = [match.end() for match in re.finditer(r"\w+|\s+|.", text)]
    for number, place in enumerate(ends[number * len(ends) // places] for number in range(places)):
        for kind in ("x", kinds[number % len(kinds)]):
            yield text[:place], kind


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize(("around", "places"), [("{}", 8), ("<think>{}", 2), ("a\n```\n{}", 2)])
def test_a_flood_ends_and_nothing_of_it_is_lost(name: str, around: str, places: int) -> None:
    for start, kind in floods(name, places):
        flood = kind * (LIMIT * 5 // 4 // len(kind))
        before = around.replace("{}", start)
        found = always(limited, before + flood, cuttings=few(before + flood))
        assert len(found.calls) <= (len(CALLS) if len(kind) == 1 else len(flood))
        if kind == "x":
            left = (
                found.content
                + found.thoughts
                + "".join(str(call.arguments) for call in found.calls)
            )
            assert left.count("x") >= len(flood) - WORD_LIMIT, (start, left)


@pytest.mark.parametrize("name", WRITTEN)
def test_without_tools_a_flood_is_text(name: str) -> None:
    for start, kind in floods(name, 2):
        text = "so " + start + kind * (LIMIT * 5 // 4 // len(kind))
        assert always(lambda: limited([]), text, cuttings=few(text)) == Seen(text)


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in HELD])
def test_a_call_longer_than_what_may_be_held_is_a_call(name: str) -> None:
    arguments = {"path": "a.txt", "content": LONG.strip()}
    text = WRITTEN[name].render([("write", arguments), ("list_drones", {}), ("write", arguments)])
    found = always(limited, text, cuttings=few(text))
    assert found == Seen(
        "", (Call("write", arguments), Call("list_drones", {}), Call("write", arguments))
    )


@pytest.mark.parametrize("name", HELD)
def test_a_call_that_is_known_at_its_end_only_is_text_beyond_the_limit(name: str) -> None:
    text = WRITTEN[name].render([("write", {"content": LONG})])
    assert always(limited, text, cuttings=few(text)) == Seen(text)


@pytest.mark.parametrize("name", WRITTEN)
def test_law_5_held_text_is_text_beyond_the_limit(name: str) -> None:
    text = WRITTEN[name].render([("write", {"content": LONG})])
    thoughts = f"<think>so {text}.</think>"
    assert always(limited, thoughts, cuttings=few(thoughts)) == Seen("", (), f"so {text}.")
    fence = f"so\n```\n{text}"
    assert always(limited, fence, cuttings=few(fence)) == Seen(fence)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("around", ["<think>so {}", "so\n```\n{}"])
def test_what_must_be_held_leaves_as_soon_as_it_is_too_much(name: str, around: str) -> None:
    """Not only at the end of the answer: until then no more than twice the limit is held."""
    text = (
        around.format(WRITTEN[name].render([("write", {"content": "0MARK"})]).partition("MARK")[0])
        + LONG * 2
    )
    reader = limited()
    shown = seen([event for letter in text for event in reader.feed(letter)])
    assert len(shown.content + shown.thoughts) > len(text) - 2 * LIMIT


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in HELD])
def test_law_5_a_value_in_single_letters_takes_constant_memory(name: str) -> None:
    """Were each letter kept, or only an entry in a list for it, 6,000 of them would take at
    least 48,000 bytes.
    """
    reader = Parser(TOOLS)
    for letter in (
        WRITTEN[name].render([("write", {"content": "0MARK"})]).partition("MARK")[0] + "ab" * LIMIT
    ):
        reader.feed(letter)
    tracemalloc.start()
    for letter in "abc" * 2000:
        reader.feed(letter)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000


def test_the_limit_itself() -> None:
    """4.5 million letters in one argument, whose call is never closed."""
    tools = [tool("bash", command={"type": "string"})]
    reader = Parser(tools)
    events = reader.feed(
        '<tool_call>\n{"name": "bash", "arguments": {"command": "' + "x" * 4_500_000
    )
    assert seen([*events, *reader.close()]) == Seen(
        "", (Call("bash", '{"command":"' + "x" * 4_500_000, whole=False),)
    )


def starts(events: Sequence[TextEvent]) -> int:
    return sum(isinstance(event, CallStart) for event in events)


def test_a_call_that_was_sent_is_not_sent_again_when_the_rest_is_given_back() -> None:
    """The key that never ends is given back at the limit; calls in it are looked for only so
    often.
    """
    again = '{"name": "write", "arguments": {"path": "a", "'
    text = f"<tool_call>{again}" + f"<tool_call>{again}".replace('"', "'") * 200
    events = events_of(limited(), [text])
    assert starts(events) < 200
    assert events_of(limited(), text) == events


BLANKS = " \n" * LIMIT


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (BLANKS + "x", Seen(BLANKS + "x")),
        (f"```\n{BLANKS}x", Seen(f"```\n{BLANKS}x")),
        (f"<think>{BLANKS}</think>", Seen("", (), BLANKS[:-1])),
        (f"<think>a{BLANKS}</think>b", Seen("b", (), f"a{BLANKS[:-1]}")),
        (f"<think>a</think><think>{BLANKS}b</think>", Seen("", (), f"a{BLANKS}b")),
        (
            f"<think><tool_call><function=list_drones></function></tool_call>{BLANKS}</think>",
            Seen("", (), f"<tool_call><function=list_drones></function></tool_call>{BLANKS[:-1]}"),
        ),
        (f"<|channel|>{BLANKS}", Seen(f"<|channel|>{BLANKS}")),
    ],
)
def test_blanks_have_a_limit_too(text: str, found: Seen) -> None:
    assert always(limited, text, cuttings=few(text)) == found


DIGITS, QUOTED = "1" * (LIMIT + 1), "'" + "1" * (LIMIT + 1) + "'"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # A value between tags whose type is open is a string when it grows too long …
        (
            (
                f"<tool_call><function=write><parameter=litres>{DIGITS}</parameter></function>"
                f"</tool_call>"
            ),
            Seen("", (Call("write", {"litres": DIGITS}),)),
        ),
        (
            (
                f"<tool_call>write<arg_key>content</arg_key><arg_value>\n{DIGITS}\n"
                f"</arg_value></tool_call>"
            ),
            Seen("", (Call("write", {"content": f"\n{DIGITS}\n"}),)),
        ),
        # … and in JSON, where it would have to be of that type, it is none.
        (
            f'<tool_call>{{"name": "write", "arguments": {{"litres": {DIGITS}}}}}</tool_call>',
            Seen(DIGITS + "}}</tool_call>", (Call("write", '{"litres":', whole=False),)),
        ),
        (
            f'<tool_call>{{"name": "write", "arguments": {{"litres": {QUOTED}}}}}</tool_call>',
            Seen(QUOTED + "}}</tool_call>", (Call("write", '{"litres":', whole=False),)),
        ),
        (
            f'<|tool_call>call:write{{litres:<|"|>{DIGITS}<|"|>}}<tool_call|>',
            Seen(f'{DIGITS}<|"|>}}<tool_call|>', (Call("write", '{"litres":', whole=False),)),
        ),
        (
            f'<tool_call>{{"name": "write", "arguments": {{}}, "more": \'{LONG}\'}}</tool_call>',
            Seen("", (Call("write", {}),)),
        ),
    ],
)
def test_a_value_whose_type_is_open_has_a_limit(text: str, found: Seen) -> None:
    assert always(limited, text, cuttings=few(text)) == found


def test_a_value_that_holds_elements_has_a_limit() -> None:
    mark = "]<]minimax[>["
    inner = f"{mark}<a>{LONG}{mark}</a>"
    text = (
        f"{mark}<tool_call>{mark}<invoke "
        f'name="write">{mark}<items>{inner}{mark}</items>{mark}</invoke>{mark}</tool_call>'
    )
    found = always(limited, text, cuttings=few(text))
    assert found.calls == (Call("write", '{"items":', whole=False),)
    assert found.content.startswith(inner)


def test_a_value_is_only_so_deep() -> None:
    text = (
        '<tool_call>{"name": "write", "arguments": {"items": '
        + "[" * 20_000
        + "]" * 20_000
        + "}}</tool_call>"
    )
    ends = [event.whole for event in events_of(Parser(TOOLS), [text]) if isinstance(event, CallEnd)]
    assert ends == [False]


def test_a_call_may_have_more_keys_than_are_remembered() -> None:
    arguments = {f"k{number}": 1 for number in range(5000)}
    text = WRITTEN["hermes"].render([("write", arguments)])
    assert seen(events_of(Parser(TOOLS), [text])) == Seen("", (Call("write", arguments),))


def test_a_tag_full_of_blanks_takes_no_time() -> None:
    """It took 20 seconds. A twentieth of one is enough also where the machine is busy."""
    before = time.process_time()
    for text in ("<tool_call>write\n<arg_key>", "<tool_call>write", "<tool_call>write<arg_key>a"):
        for blank in (" ", "\n", "\\n", "a "):
            events_of(Parser(TOOLS), [text + blank * 300])
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("size", "kind"), [(STRUCTURE_LIMIT - 100, list), (STRUCTURE_LIMIT + 100, str)]
)
def test_a_list_is_one_only_as_long_as_it_is_read_quickly(size: int, kind: type) -> None:
    """Longer ones are a string: nothing is lost, and the client says what is wrong with it."""
    text = "[" + "1," * (size // 2) + "1]"
    call = (
        f"<tool_call>\n<function=plan_route>\n<parameter=stops>\n{text}\n</parameter>\n"
        f"</function>\n</tool_call>"
    )
    (found,) = seen(
        events_of(Parser([tool("plan_route", stops={"type": "array"})], "qwen3_coder"), [call])
    ).calls
    assert found.whole
    assert isinstance(found.arguments, dict)
    assert isinstance(found.arguments["stops"], kind)
