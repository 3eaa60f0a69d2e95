"""Patterns that meet text of clients, models or backends match in linear time."""

import time
from collections.abc import Callable

import pytest

from proxy.backends import error_mapping, llama_cpp_python
from proxy.backends.llama_cpp.parser_failures import LOG_LINE, OLD_ERROR, UNPARSED
from proxy.chat_request import progress_notes, tools
from proxy.dialects import kimi_k2
from proxy.errors import BackendRefused
from proxy.parsing.calls import CallWriter, ToolIndex
from proxy.parsing.code_tracker import MARGIN, PARTIAL_MARGIN
from proxy.parsing.conversion import typed
from proxy.parsing.grammars.json_strings import ANY_KEY, KEY, KEYWORD, PARTIAL_KEY

SMALL, LARGE = 4_000, 32_000
CALLS = CallWriter(ToolIndex())


def of_type(kind: str) -> Callable[[str], object]:
    return lambda text: typed(text, frozenset({kind}))


def take_out_notices(text: str) -> object:
    progress_notes.strip_notes([{"reasoning": text}])
    return None


READS: dict[str, tuple[Callable[[str], object], str, str, str]] = {
    "an integer of zeros": (of_type("integer"), "", "0", "x"),
    "an integer of ones": (of_type("integer"), "", "1", "x"),
    "a number with zeros behind": (of_type("number"), "1.", "0", "x"),
    "a number with a long exponent": (of_type("number"), "1e", "1", "x"),
    "the id of a call": (lambda text: kimi_k2.tool_of_id(CALLS, text), "", "1", "x"),
    "the id of a call in parts": (lambda text: kimi_k2.tool_of_id(CALLS, text), "", ":1", "x"),
    "numbers in an error": (lambda text: BackendRefused(text).body(), "", "1234,", "x"),
    "words in an error": (lambda text: BackendRefused(text).body(), "", "request ", "x"),
    "an echo in an error": (
        lambda text: BackendRefused(text).summary,
        "",
        "Failed to parse a ",
        "",
    ),
    "an overflow": (
        lambda text: error_mapping.map_error(400, text.encode(), {}),
        "",
        "context window ",
        "",
    ),
    "an overflow in JSON": (
        lambda text: error_mapping.map_error(400, text.encode(), {}),
        '{"error": "',
        "context window ",
        '"}',
    ),
    "lines of an error": (
        lambda text: error_mapping.map_error(400, text.encode(), {}),
        "",
        "data: {\n",
        "",
    ),
    "a position in an error": (OLD_ERROR.search, "", "Failed to parse input at pos 1", ""),
    "many numbers of a log": (LOG_LINE.match, "", "1.", ""),
    "an answer in a log": (UNPARSED.search, "", "unparsed x ", ""),
    "a long word of a log": (UNPARSED.search, "unparsed ", "x", ""),
    "validation errors": (
        lambda text: llama_cpp_python._UNREADABLE.match(text[: llama_cpp_python._SEARCH_LIMIT]),
        "1 validation error:\n",
        "'loc': ('body', 'a'",
        "",
    ),
    "our own notices": (take_out_notices, "", "[llama-bridge] x\n", "x"),
    "a name in two spellings": (
        lambda text: tools.DeclaredNames(({"function": {"name": text + "x"}},)).resolve(text),
        "",
        "aA-",
        "",
    ),
    "a margin": (PARTIAL_MARGIN.fullmatch, "", " ", "x"),
    "a margin of list marks": (MARGIN.fullmatch, "", "- ", "x"),
    "a key without an end": (KEY.match, '"', "a\\\\", ""),
    "a bare key without an end": (ANY_KEY.match, "", "a", ""),
    "half a key": (PARTIAL_KEY.fullmatch, '"', "\\", "x"),
    "a keyword": (KEYWORD.match, "a", " ", ""),
}


def seconds(read: Callable[[str], object], text: str) -> float:
    before = time.process_time()
    read(text)
    return time.process_time() - before


@pytest.mark.parametrize("name", READS)
def test_time_is_linear(name: str) -> None:
    """Text of eight times the length takes at most 24 times as long; quadratic would be 64.

    Times that are too short to measure pass. Each is measured up to three times, because a busy
    machine can spoil a measurement.
    """
    read, start, unit, end = READS[name]
    small, large = (start + unit * (size // len(unit)) + end for size in (SMALL, LARGE))
    assert any(
        taken < 0.05 or taken < 24 * min(seconds(read, small) for _ in range(3))
        for taken in (seconds(read, large) for _ in range(3))
    )
