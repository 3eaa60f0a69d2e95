"""Thoughts between tags, and what surrounds them."""

import pytest

from proxy.dialects import Parser
from proxy.parsing.events import Reasoning
from proxy.parsing.parser import ThinkingMode
from tests.parsing.cuts import TOOLS, Call, Seen, always

LIST = Call("list_drones", {})
CALL = '<tool_call>\n{"name": "list_drones", "arguments": {}}\n</tool_call>'
TAGGED = "<tool_call>\n<function=list_drones>\n</function>\n</tool_call>"
FENCED = f"```xml\n{CALL}\n```"

CASES: dict[str, tuple[str, Seen]] = {
    "as documented": ("<think>\na\nb\n</think>\n\nc", Seen("c", (), "a\nb")),
    "another tag": ("<thinking>a</thinking>b", Seen("b", (), "a")),
    "the other closer is text": ("<thinking>a</think></thinking>b", Seen("b", (), "a</think>")),
    "blanks before": (" \n<think>a</think>b", Seen("b", (), "a")),
    "Windows newlines": ("<think>\r\na\r\n</think>b", Seen("b", (), "a")),
    "one newline at each edge": ("<think>\n\n a \n\n</think>b", Seen("b", (), "\n a \n")),
    "indented code after": ("<think>a</think>\n\n    b", Seen("    b", (), "a")),
    "only blanks inside": ("<think>\n \n</think>b", Seen("b")),
    "nothing inside": ("<think></think>", Seen()),
    "never closed": ("<think>a", Seen("", (), "a")),
    "closer doubled": ("<think>a</think>\n</think>\nb", Seen("b", (), "a")),
    "only the closer": ("</think>\n\nb", Seen("b")),
    "the closer after prose": ("a</think>b", Seen("a</think>b")),
    "the opener after prose": ("The tag <think> is old.", Seen("The tag <think> is old.")),
    "a mention after thoughts": (
        "<think>a</think>The tag <think> is old.",
        Seen("The tag <think> is old.", (), "a"),
    ),
    "a mention in code after thoughts": (
        "<think>a</think>x\n```\n<think>\n```\n`a.<think>`",
        Seen("x\n```\n<think>\n```\n`a.<think>`", (), "a"),
    ),
    "a second block": ("<think>a</think>Ok.<think>b</think>Done.", Seen("Ok.Done.", (), "a\nb")),
    "a block after a block": ("<think>a</think>\n<think>b</think>c", Seen("c", (), "a\nb")),
    "a block after a call": (f"{CALL}\n<think>b</think>c", Seen("c", (LIST,), "b")),
    "half a closer": ("<think>a </thin < b</think>c", Seen("c", (), "a </thin < b")),
    "the closer quoted": (
        "<think>the `</think>` tag</think>c",
        Seen("c", (), "the `</think>` tag"),
    ),
    "the closer after a backtick": ("<think>the `</think>c", Seen("c", (), "the `")),
    "a call after": (f"<think>a</think>\n{CALL}", Seen("", (LIST,), "a")),
    "a call inside, then nothing": (f"<think>a\n{CALL}\n</think>", Seen("", (LIST,), "a")),
    "a call inside, never closed": (f"<think>a\n{TAGGED}", Seen("", (LIST,), "a")),
    "two calls inside": (f"<think>{CALL}\n{TAGGED}\n</think>", Seen("", (LIST, LIST))),
    "a call inside, then prose": (f"<think>a\n{CALL}</think>b", Seen("b", (LIST,), "a")),
    "a call inside, then more thoughts": (
        f"<think>a\n{CALL}\nno</think>b",
        Seen("b", (), f"a\n{CALL}\nno"),
    ),
    "a call inside, then more thoughts in the next block": (
        f"<think>{CALL}</think>b.<think>c</think>",
        Seen("b.", (), f"{CALL}c"),
    ),
    "a call inside, then a real one": (f"<think>{CALL}</think>\n{TAGGED}", Seen("", (LIST,), CALL)),
    "a call inside, quoted": (f"<think>see `{CALL}`</think>b", Seen("b", (), f"see `{CALL}`")),
    "a marker inside": (
        "<think>use <tool_call> now</think>b",
        Seen("b", (), "use <tool_call> now"),
    ),
    "half a call inside": (
        "<think><function=write>\n<parameter=path>\na</think>b",
        Seen("b", (), "<function=write>\n<parameter=path>\na"),
    ),
    "a turn token after thoughts": ("<think>a</think>b<|im_end|>\n", Seen("b", (), "a")),
    "turn tokens after a call": (f"{CALL}<|im_end|>\n</s> ", Seen("", (LIST,))),
    "turn tokens in the middle": (f"{CALL}<|im_end|> \n</s>b", Seen("<|im_end|> \n</s>b", (LIST,))),
    "more turn tokens than any turn has": (f"{CALL}{'</s>' * 99}", Seen("</s>" * 64, (LIST,))),
    "a turn token after nothing": ("b<|im_end|>", Seen("b<|im_end|>")),
    "a turn token in an open fence": (f"x\n```\n{CALL}<|im_end|>", Seen("x\n```\n", (LIST,))),
    "a call in a fence": (f"{FENCED}\n", Seen("", (LIST,))),
    "calls in a fence": (f"```\n\n{CALL}\n{TAGGED}\n```", Seen("", (LIST, LIST))),
    "a call in a fence that is never closed": (f"```\n{CALL}\n", Seen("", (LIST,))),
    "a call in a fence with more in it": (f"```\n{CALL}\nx\n```\n", Seen(f"```\n{CALL}\nx\n```\n")),
    "a call in a fence, more in it, never closed": (f"```\n{CALL}\nx", Seen(f"```\n{CALL}\nx")),
    "a call in a fence after thoughts": (f"<think>a</think>\n{FENCED}", Seen("", (LIST,), "a")),
    "a fence, then prose": (f"{FENCED}\nSee?", Seen(f"{FENCED}\nSee?")),
    "a fence, then a call": (f"{FENCED}\n{CALL}", Seen(f"{FENCED}\n", (LIST,))),
    "prose, then a fence": (f"So:\n{FENCED}\n", Seen(f"So:\n{FENCED}\n")),
    "prose, then a fence with two calls": (
        f"So:\n```\n{CALL}\n{CALL}\n```\n",
        Seen(f"So:\n```\n{CALL}\n{CALL}\n```\n"),
    ),
    "prose, then an open fence": (f"So:\n```\nx\n{CALL}\ny", Seen(f"So:\n```\nx\n{CALL}\ny")),
    "prose, then an open fence that ends with a call": (
        f"So:\n```\nx\n{CALL}\n",
        Seen("So:\n```\nx\n", (LIST,)),
    ),
    "half a call in a fence": (
        "```\n<function=list_drones> x",
        Seen("```\n<function=list_drones> x"),
    ),
    "half a call in a fence after a call": (
        f"```\n{CALL}\n<function=list_drones> x\n```",
        Seen(f"```\n{CALL}\n<function=list_drones> x\n```"),
    ),
    "a fence without a call": ("```\nx\n```", Seen("```\nx\n```")),
    "a fence that is one line": ("```", Seen("```")),
    "a fence of one long line": ("```" + "x" * 300, Seen("```" + "x" * 300)),
    "inline code": (
        "Use `<function=list_drones></function>`.",
        Seen("Use `<function=list_drones></function>`."),
    ),
    "after a quoted command": (f"I ran `ls`.\n{CALL}", Seen("I ran `ls`.\n", (LIST,))),
    "blanks and nothing else": (" \n", Seen(" \n")),
    "after a call blanks vanish": (f"{CALL}\n\n", Seen("", (LIST,))),
}


@pytest.mark.parametrize("case", CASES)
def test_table(case: str) -> None:
    text, found = CASES[case]
    assert always(lambda: Parser(TOOLS), text) == found


FORCED: dict[str, tuple[str, Seen]] = {
    "as documented": ("a\n</think>\n\nb", Seen("b", (), "a")),
    "the opener repeated": ("\n<think>\na</think>b", Seen("b", (), "a")),
    "the other closer": ("a</thinking>b", Seen("b", (), "a")),
    "never closed": ("a", Seen("", (), "a")),
    "then a call": (f"a</think>{CALL}", Seen("", (LIST,), "a")),
}


@pytest.mark.parametrize("case", FORCED)
def test_thoughts_that_the_prompt_has_opened(case: str) -> None:
    text, found = FORCED[case]
    assert always(lambda: Parser(TOOLS, thinking="forced"), text) == found


@pytest.mark.parametrize("text", ["<think>a</think>b", "</think>b"])
def test_off_means_text(text: str) -> None:
    assert always(lambda: Parser(TOOLS, thinking="off"), text) == Seen(text)


def test_without_tools_there_are_thoughts_but_no_calls() -> None:
    assert always(Parser, f"<think>a {CALL}</think>{FENCED}") == Seen(FENCED, (), f"a {CALL}")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"<think>{CALL}", Seen("", (), CALL)),
        (f"<think>{CALL}</think>b", Seen("b", (), CALL)),
        (f"x\n```\n{CALL}", Seen(f"x\n```\n{CALL}")),
        (f"```\n{CALL}\n```\n</s>\n", Seen(f"```\n{CALL}\n```\n</s>\n")),
        ("<think>\na\n", Seen("", (), "a")),
    ],
)
def test_what_is_held_in_a_cut_answer_is_text(text: str, found: Seen) -> None:
    assert always(lambda: Parser(TOOLS), text, "length") == found


def test_thoughts_stream() -> None:
    parser = Parser(TOOLS)
    parser.feed("<think>")
    for letter in "abc":
        assert parser.feed(letter) == [Reasoning(letter)]


def test_modes() -> None:
    modes: list[ThinkingMode] = ["tags", "forced", "off"]
    assert [seen_thoughts(mode) for mode in modes] == ["", "a", ""]


def seen_thoughts(mode: ThinkingMode) -> str:
    return always(lambda: Parser(TOOLS, thinking=mode), "a").thoughts
