"""Time grows with the text, and with nothing else."""

import time
from collections.abc import Iterable

import pytest

from proxy.dialects import Parser
from tests.parsing.cuts import TOOLS

SMALL, LARGE = 3_000, 24_000

ANSWERS = {
    "prose": ("", "a line of `prose` < that goes on\n", ""),
    "thoughts": ("<think>", "a line of `thought` < that goes on\n", ""),
    "a value": (
        "<tool_call>\n<function=write>\n<parameter=content>\n",
        "if a < b: </x>\n",
        "\n</parameter>\n</function>\n</tool_call>",
    ),
    "a JSON string": (
        '<tool_call>\n{"name": "write", "arguments": {"content": "',
        'if a < \\"b\\": ',
        '"}}\n</tool_call>',
    ),
    "arguments before the name": (
        '<tool_call>\n{"arguments": {"content": "',
        "if a < b: ",
        '"}, "name": "write"}\n</tool_call>',
    ),
    "a call in thoughts": (
        "<think><tool_call>\n<function=write>\n<parameter=content>\n",
        "x y\n",
        "\n</parameter>\n</function>\n</tool_call>",
    ),
    "a call in a fence": (
        "```\n<tool_call>\n<function=write>\n<parameter=content>\n",
        "x y\n",
        "\n</parameter>\n</function>\n</tool_call>",
    ),
    "openers": ("", "<tool_call>", ""),
    "openers of values": ("<tool_call><function=write><parameter=content>", "<parameter=path>", ""),
    "functions": ("", "<function=write>", ""),
    "half closers": ("<tool_call><function=write><parameter=content>", "</parameter> ", "x"),
    "function closers": (
        "<tool_call><function=write><parameter=content><function=x>",
        "</parameter></function>",
        "",
    ),
    "blanks after a closer": (
        "<tool_call><function=write><parameter=content></parameter>",
        " ",
        "x",
    ),
    "blanks after a quote": (
        '<tool_call>{"name": "write", "arguments": {"content": "x"',
        " ",
        "}}",
    ),
    "quotes": ('<tool_call>{"name": "write", "arguments": {"content": "x', '" ', '"}}'),
    "backslashes": ('<tool_call>{"name": "write", "arguments": {"content": "x', "\\", '"}}'),
    "depth": ('<tool_call>{"name": "write", "arguments": {"content": ', "[", "}"),
    "keys": ('<tool_call>{"name": "write", "arguments": {', '"k": 1, ', "}}"),
    "half calls": ("", '<tool_call>{"name": "write", ', ""),
    "half objects after calls": ("", '<tool_call>{"name": "list_drones"}{"name": "write", ', ""),
    "doubtful ends": (
        "",
        (
            "<tool_call><function=write><parameter=path>\n"
            "<function=x></parameter></function></tool_call> x"
        ),
        "",
    ),
    "calls": ("", "<tool_call><function=list_drones></function></tool_call>\n", ""),
    "backticks": ("", "`", ""),
    "blanks": ("", "\n", ""),
    "turn tokens": ("<tool_call><function=list_drones></function></tool_call>", "</s>", ""),
    "thinking": ("", "<think>a</think>", ""),
    "numbers": ('<tool_call>{"name": "water", "arguments": {"litres": ', "1", "}}"),
    "a number as text": (
        "<tool_call><function=water><parameter=litres>",
        "1",
        "</parameter></function>",
    ),
}


def seconds(pieces: Iterable[str]) -> float:
    parser = Parser(TOOLS)
    before = time.process_time()
    for piece in pieces:
        parser.feed(piece)
    parser.close()
    return time.process_time() - before


def answer(name: str, size: int) -> str:
    start, middle, end = ANSWERS[name]
    return start + middle * (size // len(middle)) + end


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("letters", [1, LARGE])
def test_time_is_linear(name: str, letters: int) -> None:
    """Eight times the text may take 24 times the time, where a square would take 64.

    What is too fast to measure is fast enough.

    A machine that is busy may spoil a measurement, but hardly three."""
    small, large = (
        [text[at : at + letters] for at in range(0, len(text), letters)]
        for text in (answer(name, SMALL), answer(name, LARGE))
    )
    assert any(
        taken < 0.05 or taken < 24 * min(seconds(small) for _ in range(3))
        for taken in (seconds(large) for _ in range(3))
    )
