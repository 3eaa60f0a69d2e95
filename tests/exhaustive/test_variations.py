"""What may happen to a call in any dialect: the same table for all of them."""

import json
from typing import Any

import pytest

from proxy.dialects import DIALECTS, Parser
from tests.dialects.renderers import WRITTEN, Arguments
from tests.parsing.cuts import Call, Seen, always, events_of, few, seen, tool

TOOLS = [
    tool("write", path={"type": "string"}, content={"type": "string"}),
    tool(
        "water",
        plant={"type": "string"},
        litres={"type": "integer"},
        ok={"type": "boolean"},
        note={"type": ["string", "null"]},
    ),
    tool("route", stops={"type": "array"}, avoid={"type": "object"}, km={"type": "number"}),
    tool("list_drones"),
    *(tool(f"tool_{number}", x={"type": "string"}) for number in range(26)),
]

ARGUMENTS: dict[str, tuple[str, Arguments]] = {
    "scalars": ("water", {"plant": "fern", "litres": 3, "ok": True, "note": None}),
    "none": ("list_drones", {}),
    "nested": (
        "route",
        {
            "stops": ["a", "b c", ["d"]],
            "avoid": {"tolls": True, "deep": {"x": None}, "l": [1, 2]},
            "km": -1.5,
        },
    ),
    "empty ones": ("route", {"stops": [], "avoid": {}}),
    "letters": ("water", {"plant": "Ürümqi 日本 👩\u200d👩\u200d👧 \\n “q”", "note": "it's"}),
    "code": (
        "write",
        {
            "path": "a.py",
            "content": 'for i in range(3):\n    if i < 2 and i > 0:\n\tprint(f"{i} & {i+1}")\n',
        },
    ),
    "looks like a number": ("write", {"path": "12", "content": "null"}),
    "looks like JSON": ("write", {"path": '{"a": 1}', "content": "[]"}),
    "empty text": ("write", {"path": "", "content": " "}),
    "newlines": ("write", {"path": "\n", "content": "\n\n  x\n\n"}),
    "brackets": ("write", {"path": "a), b], c}", "content": '"}]}\'"'}),
    "HTML": ("write", {"path": "x", "content": "<b>a</b> <!-- c --> <br/> &lt; <?xml ?> </"}),
    "a fence": ("write", {"path": "x", "content": "```json\n{}\n```\n"}),
}


def shown(call: tuple[str, Arguments]) -> Call:
    return Call(*call)


def read(name: str, text: str, finish: str = "stop") -> Seen:
    return always(lambda: Parser(TOOLS), text, finish, few(text))


def named(name: str, text: str) -> Seen:
    return seen(events_of(Parser(TOOLS, name), [text]))


every = pytest.mark.parametrize("name", WRITTEN)


@every
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_arguments(name: str, kind: str) -> None:
    call = ARGUMENTS[kind]
    text = WRITTEN[name].render([call])
    found = Seen("", (shown(call),))
    assert read(name, text) == found
    assert named(name, text) == found


CALLS = [ARGUMENTS["scalars"], ARGUMENTS["none"], ARGUMENTS["nested"]]


@every
def test_several_calls(name: str) -> None:
    text = WRITTEN[name].render(CALLS)
    assert read(name, text) == Seen("", tuple(map(shown, CALLS)))
    assert named(name, text) == Seen("", tuple(map(shown, CALLS)))


@every
def test_the_same_call_twice(name: str) -> None:
    assert read(name, WRITTEN[name].render([CALLS[0]] * 2)) == Seen("", (shown(CALLS[0]),) * 2)


@every
def test_two_blocks(name: str) -> None:
    render = WRITTEN[name].render
    assert read(name, render(CALLS[:1]) + "\n" + render(CALLS[1:2])) == Seen(
        "", tuple(map(shown, CALLS[:2]))
    )


@every
def test_prose_around(name: str) -> None:
    text = WRITTEN[name].render(CALLS[:1])
    found = read(name, f"So:\n\n{text}\nThat was it.")
    if WRITTEN[name].weak:
        assert found == Seen(f"So:\n\n{text}\nThat was it.")
    else:
        assert (found.content.split(), found.calls) == (
            ["So:", "That", "was", "it."],
            (shown(CALLS[0]),),
        )


@every
def test_prose_between(name: str) -> None:
    if not WRITTEN[name].weak:
        text = WRITTEN[name].render(CALLS[:1])
        found = read(name, f"One\n{text}\ntwo\n{text}\nthree.")
        assert (found.content.split(), found.calls) == (
            ["One", "two", "three."],
            (shown(CALLS[0]),) * 2,
        )


@every
def test_closers_missing(name: str) -> None:
    call = ("water", {"litres": 3, "plant": "fern"})
    text = WRITTEN[name].render([call])
    for closer in WRITTEN[name].closers:
        assert text.endswith(closer), closer
        text = text.removesuffix(closer)
        assert read(name, text.rstrip("\n")) == Seen("", (shown(call),)), closer
        assert read(name, text + "\n") == Seen("", (shown(call),)), closer


@every
def test_an_undeclared_tool(name: str) -> None:
    call = ("launch_kite", {"colour": "red"})
    text = WRITTEN[name].render([call])
    found = read(name, text)
    known = WRITTEN[name].weak or name in (
        "firefunction",
        "command_r_plus",
        "functionary",
        "minicpm5",
        "laguna",
    )
    assert found == (Seen(text) if known else Seen("", (shown(call),)))


@every
@pytest.mark.parametrize("form", ["functions.water", "Water", "WATER"])
def test_names_are_resolved(name: str, form: str) -> None:
    text = (
        WRITTEN[name].render([(form, {"plant": "a"})]).replace("functions.functions.", "functions.")
    )
    assert read(name, text) == Seen("", (Call("water", {"plant": "a"}),))


@every
def test_turn_tokens_after_it_are_dropped(name: str) -> None:
    text = WRITTEN[name].render(CALLS[:1])
    for token in (*DIALECTS[name].end_tokens, "<|im_end|>", "</s>\n"):
        assert read(name, text + token) == Seen("", (shown(CALLS[0]),)), token


@every
def test_thoughts_before(name: str) -> None:
    text = WRITTEN[name].render(CALLS[:1])
    assert read(name, f"<think>\nHm.\n</think>\n\n{text}") == Seen("", (shown(CALLS[0]),), "Hm.")


@every
def test_inside_thoughts(name: str) -> None:
    text = WRITTEN[name].render(CALLS[:1])
    if not WRITTEN[name].weak:
        assert read(name, f"<think>Hm.\n{text}</think>\n") == Seen("", (shown(CALLS[0]),), "Hm.")
    assert read(name, f"<think>Hm.\n{text}\nNo.</think>Ok.") == Seen("Ok.", (), f"Hm.\n{text}\nNo.")


@every
def test_quoted_it_is_text(name: str) -> None:
    text = WRITTEN[name].render([("water", {"plant": "fern"})]).strip("\n")
    for around in ("See:\n~~~~\n{}\n~~~~\nSo.", "~~~~\n{}\n~~~~\nSee?"):
        assert read(name, around.replace("{}", text)) == Seen(around.replace("{}", text))
    if "\n\n" not in text and "`" not in text:
        assert read(name, f"Write `{text}` then.") == Seen(f"Write `{text}` then.")


@every
def test_alone_in_a_fence_it_is_a_call(name: str) -> None:
    text = WRITTEN[name].render(CALLS[:1]).strip()
    if "```" not in text:
        assert read(name, f"```\n{text}\n```") == Seen("", (shown(CALLS[0]),))


@every
def test_a_text_that_holds_a_call(name: str) -> None:
    if WRITTEN[name].nests:
        inner = WRITTEN[name].render([("write", {"path": "x", "content": "y"})])
        call = ("write", {"path": "a", "content": f"So:\n{inner}\nSee?"})
        assert read(name, WRITTEN[name].render([call])) == Seen("", (shown(call),))


@every
def test_cut_anywhere(name: str) -> None:
    """The events of a call and its text exclude each other, and what has left is a part of what
    was meant.
    """
    call = ("write", {"path": "a.txt", "content": "one\ntwo"})
    text, whole = WRITTEN[name].render([call]), json.dumps(call[1], separators=(",", ":"))
    for place in range(len(text) + 1):
        for finish in ("length", "stop"):
            found = seen(events_of(Parser(TOOLS), [text[:place]], finish))
            if not found.calls:
                assert found.content in (
                    text[:place],
                    *(text[:place].removeprefix(header) for header in DIALECTS[name].headers),
                )
                continue
            (one,) = found.calls
            assert text[:place].rstrip().endswith(found.content.strip()), found.content
            if one.whole:
                assert _begins(one.arguments, call[1]), text[:place]
            else:
                assert whole.startswith(one.arguments), text[:place]


def _begins(found: Any, meant: Arguments) -> bool:
    return all(key in meant and meant[key] == value for key, value in found.items())
