"""Benchmark of the parser with all dialects enabled.

Run with `make bench-dialects`; the exit status is 1 if a limit is exceeded.
"""

import json
import sys
import time
import tracemalloc
from collections.abc import Iterator

from proxy.dialects import Parser
from tests.dialects.renderers import WRITTEN
from tests.parsing.cuts import tool

TOOLS = [
    tool("write", path={"type": "string"}, content={"type": "string"}),
    *(tool(f"tool_{number}") for number in range(29)),
]
PROSE = (
    "The quick brown fox (it is quick, isn't it?) jumps < 3 times over a `lazy` dog: 1, "
    "2 and [so on].\n\n* a list\n"
) * 1200
CODE = (
    'for i in range(3):\n    if i < 2 and a[i] > 0:\n        print("x", {i: "</b>"})  # ok\n' * 1200
)
PROSE_LIMIT, ARGUMENT_LIMIT, RATIO_LIMIT, MEMORY_LIMIT = 12, 20, 11, 64  # µs, µs, ratio, MiB
MARK = "\x01"


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[place : place + size] for place in range(0, len(text), size))


def spent(parser: Parser, text: str, size: int) -> float:
    start = time.process_time()
    for piece in pieces(text, size):
        parser.feed(piece)
    return time.process_time() - start


def per_piece(before: str, text: str) -> float:
    """Return the microseconds per piece of four letters, the best of three runs."""
    times = []
    for _ in range(3):
        parser = Parser(TOOLS)
        parser.feed(before)
        times.append(spent(parser, text, 4))
    return min(times) / (len(text) / 4) * 1e6


def opened(name: str) -> tuple[str, str]:
    """Return a call up to the start of its argument, and the argument as the dialect encodes it."""
    text = WRITTEN[name].render([("write", {"content": MARK})])
    mark = MARK if MARK in text else "\\u0001" if "\\u0001" in text else "\\x01"
    before = text.partition(mark)[0]
    return before, CODE if mark == MARK else json.dumps(CODE)[1:-1]


def growth(name: str) -> tuple[float, float]:
    """Return how parsing an argument in single letters scales from 100,000 to 1,000,000 letters.

    The results are the ratio of the times, and the peak memory in MiB.
    """
    before, text = opened(name)
    times = []
    for letters in (100_000, 1_000_000):
        parser = Parser(TOOLS)
        parser.feed(before)
        times.append(spent(parser, (text * 12)[:letters], 1))
    tracemalloc.start()
    parser = Parser(TOOLS)
    parser.feed(before)
    for piece in pieces((text * 12)[:1_000_000], 50):
        parser.feed(piece)
    memory = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return times[1] / times[0], memory


def main() -> int:
    bad = 0

    def row(what: str, figure: float, unit: str, limit: float) -> None:
        nonlocal bad
        bad += figure > limit
        print(f"{what:44} {figure:8.2f} {unit}{'' if figure <= limit else f'   more than {limit}'}")

    row("prose", per_piece("", PROSE), "µs", PROSE_LIMIT)
    row("code in a fence", per_piece("```python\n", CODE), "µs", PROSE_LIMIT)
    row("thoughts", per_piece("<think>", PROSE), "µs", PROSE_LIMIT)
    for name, written in WRITTEN.items():
        if not written.weak:  # weak dialects are held back until the call is complete
            row(f"in an argument: {name}", per_piece(*opened(name)), "µs", ARGUMENT_LIMIT)
    for name in ("qwen3_coder", "hermes", "glm", "deepseek_dsml", "kimi_k2", "gemma", "lfm2"):
        ratio, memory = growth(name)
        row(f"1 MB in single letters / 0.1 MB: {name}", ratio, "times", RATIO_LIMIT)
        row(f"1 MB, the most memory: {name}", memory, "MiB", MEMORY_LIMIT)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
