"""Scores what was made of a recorded answer against what is right."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.parsing.cuts import Seen

HERE = Path(__file__).parent


def lines(*names: str) -> Iterator[dict[str, Any]]:
    for name in names:
        for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def problems(case: dict[str, Any], found: Seen) -> list[str]:
    """Empty if all is right.

    Blanks count in plain answers and inside thoughts, not at the joints of prose and calls.
    """
    expected = case["expect"]
    bad = []
    if not _content_fits(expected, found.content):
        bad.append(f"content: {found.content!r}")
    if not _thoughts_fit(case, found.thoughts):
        bad.append(f"thoughts: {found.thoughts!r}")
    wanted = [(call["name"], call["arguments"]) for call in expected["tool_calls"]]
    calls = found.calls
    if expected.get("partial_last_call"):
        calls, last, (name, arguments) = calls[:-1], calls[-1:], wanted.pop()
        if (
            not last
            or last[0].whole
            or last[0].name != name
            or not _begins(last[0].arguments, arguments)
        ):
            bad.append(f"half a call: {last}")
    if [(call.name, _exact(call.arguments)) for call in calls] != [
        (name, _exact(arguments)) for name, arguments in wanted
    ]:
        bad.append(f"calls: {found.calls!r}")
    return bad + [f"not whole: {call.name}" for call in calls if not call.whole]


def _content_fits(expected: dict[str, Any], content: str) -> bool:
    if expected.get("content_exact"):
        return bool(content == expected["content"])
    if pieces := expected.get("content_segments"):
        return (
            re.fullmatch(r"\s*".join(re.escape(piece) for piece in pieces), content.strip())
            is not None
        )
    return content.split() == (expected["content"] or "").split()


def _thoughts_fit(case: dict[str, Any], thoughts: str) -> bool:
    wanted = case["expect"]["reasoning"] or ""
    if case.get("policy") == "P-JOIN":
        return thoughts.split() == wanted.split()
    return bool(thoughts.strip() == wanted.strip())


def _begins(text: str, arguments: dict[str, Any]) -> bool:
    """Whether a text is the beginning of the arguments, at least up to the value that was cut."""
    whole = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return whole.startswith(text) and len(text) > len(whole) // 2


def _exact(value: Any) -> Any:
    """True is not 1; 1 and 1.0 are the same number, but only where a float is exact."""
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return (int, int(value))
    return (type(value), value)
