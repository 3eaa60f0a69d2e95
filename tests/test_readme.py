"""The README is short, and its claims agree with the program."""

import json
import re
from typing import Any

from proxy.backends import KINDS
from proxy.dialects import DIALECTS, parse
from proxy.settings import load
from proxy.web.snippets import opencode
from tests import jsonc
from tests.documents import README, block, cells, prose, words_in_code

TOOLS = [{"type": "function", "function": {"name": "bash"}}]
TEXT = README.read_text()


def holds(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    return bool(whole == part)


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(TEXT.split()) <= 1200
    assert all(len(line) <= 100 for line in prose(README))


def test_the_call_on_the_first_screen_is_converted_as_shown() -> None:
    lines = block(README, "text").split("\n")[2:]
    column = lines[0].index('"content"')
    answer = "\n".join(line[:column].strip() for line in lines).strip()
    shown = json.loads(f"{{{''.join(line[column:] for line in lines)}}}")
    message = parse(answer, tools=TOOLS)
    message["tool_calls"][0]["id"] = shown["tool_calls"][0]["id"]
    assert message == {"role": "assistant"} | shown


def test_the_number_of_dialects() -> None:
    (number,) = re.findall(r"more than (\d+) dialects", " ".join(TEXT.split()))
    assert int(number) < len(DIALECTS) <= int(number) + 20


def test_the_snippet_for_opencode_is_part_of_the_one_that_is_printed() -> None:
    printed = opencode("http://127.0.0.1:8081", None, "my-model", 32768)
    assert holds(jsonc.parsed(printed), jsonc.parsed(block(README, "json")))
    assert load({}).proxy_port == 8081


def test_every_kind_of_server_has_its_row() -> None:
    shown = {
        kind
        for row in cells(README, "| Backend | How to start |")
        for kind in words_in_code(row[2])
    }
    assert shown == {kind.kind for kind in KINDS}
