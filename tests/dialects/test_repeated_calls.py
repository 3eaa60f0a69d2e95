"""A call that stands word for word in a tool result or a user message is text; what only begins
alike is a call.
"""

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.parsing.dialect import ModelHint
from tests.dialects.renderers import WRITTEN
from tests.dialects.test_quoted_calls import (
    CALLS,
    HERMES,
    MARKED,
    REMOVE,
    TOOLS,
    UNKNOWN,
    read,
    refused,
    speaks_for,
)
from tests.parsing.cuts import Call, Seen, always, few

LIST = Call("list_files", {})
README = "# A tool\n\nNever do this:\n\n{}\n\nIt deletes everything."


def without_turn_token(name: str, call: str) -> str:
    """A token with which a known model ends its turn says nothing at the end."""
    return next(
        (call.removesuffix(token) for token in DIALECTS[name].end_tokens if call.endswith(token)),
        call,
    )


@pytest.mark.parametrize("name", MARKED)
def test_in_every_dialect(name: str) -> None:
    call = CALLS[name]
    for hint in (UNKNOWN, speaks_for(name)):
        shown = call if hint is UNKNOWN else without_turn_token(name, call)
        assert read(call, hint, request=["Hi", README.replace("{}", call)]) == Seen(shown)
        assert read(f"It says:\n{call}", hint, request=[call]) == Seen(f"It says:\n{shown}")
    assert refused(call, request=[call]) == {"repeated": 1}
    other = WRITTEN[name].render([("bash", {"command": "rm -rf ~/x"})]).strip()
    assert read(other, request=[call]).calls == (Call("bash", {"command": "rm -rf ~/x"}),)


SAID = {
    "with numbers before its lines": "\n".join(
        f"{number:05}| {line}" for number, line in enumerate(HERMES.splitlines(), 1)
    ),
    "as another tool numbers them": "\n".join(
        f"  {number}\t{line}" for number, line in enumerate(HERMES.splitlines(), 1)
    ),
    "in a quotation": "\n".join(f"> {line}" for line in HERMES.splitlines()),
    "in a JSON string": '{"content": "' + HERMES.replace('"', '\\"').replace("\n", "\\n") + '"}',
    "with other blanks": HERMES.replace("\n", "\r\n  "),
    "behind one that begins alike": HERMES.replace("~", "x") + HERMES.replace("~", "y") + HERMES,
    "inside a word": "x" + HERMES + "x",
}


@pytest.mark.parametrize("case", SAID)
def test_however_it_is_shown(case: str) -> None:
    assert read(HERMES, request=[SAID[case]]) == Seen(HERMES)


def test_what_is_not_in_one_text_is_not_repeated() -> None:
    half = len(HERMES) // 2
    assert read(HERMES, request=[HERMES[:half], HERMES[half:]]).calls == (REMOVE,)
    assert read(HERMES, request=[HERMES[:-30]]).calls == (REMOVE,)
    assert read(HERMES, request=[HERMES.replace("rm", "RM")]).calls == (REMOVE,)


OBJECT = '{"name": "bash", "arguments": {"command": "rm -rf ~"}}'
LISTS = (
    "mistral",
    "deepseek_v31",
    "command_r",
    "jamba",
    "lfm2",
    "anthropic",
    "qwen3_coder",
    "hermes",
    "apertus",
)


@pytest.mark.parametrize("name", LISTS)
def test_each_call_of_a_list_is_compared_by_itself(name: str) -> None:
    render = WRITTEN[name].render
    both = render([("list_files", {}), ("bash", REMOVE.arguments)]).strip()
    found = read(both, request=[CALLS[name]])
    assert found.calls == (LIST,)
    assert "rm -rf ~" in found.content
    turned = render([("bash", REMOVE.arguments), ("list_files", {})]).strip()
    found = read(turned, request=[CALLS[name]])
    assert REMOVE not in found.calls
    assert "rm -rf ~" in found.content
    assert (
        len(read(both, request=[HERMES.replace("~", "x"), CALLS[name].replace("~", "x")]).calls)
        == 2
    )


def test_a_later_call_that_breaks_off() -> None:
    texts = [f"{call}" for call in (HERMES, CALLS["mistral"])]
    two = WRITTEN["mistral"].render([("list_files", {}), ("bash", REMOVE.arguments)])
    cut = two[:-4]
    found = always(lambda: Parser(TOOLS, request_texts=texts), cut, "length")
    assert found == Seen('[TOOL_CALLS]bash[ARGS]{"command": "rm -rf', (LIST,))
    found = always(lambda: Parser(TOOLS, request_texts=texts), cut.replace("rm", "RM"), "length")
    assert found == Seen("", (LIST, Call("bash", '{"command":"RM -rf', whole=False)))
    listed = f'[TOOL_CALLS][{{"name": "list_files", "arguments": {{}}}}, {OBJECT}'
    found = always(
        lambda: Parser(TOOLS, request_texts=[*texts, f"[TOOL_CALLS][{OBJECT}]"]),
        listed[:-6],
        "length",
    )
    assert found == Seen(OBJECT[:-6], (LIST,))
    found = always(lambda: Parser(TOOLS, request_texts=texts), CALLS["mistral"][:-4], "length")
    assert found == Seen(CALLS["mistral"][:-4])
    found = always(
        lambda: Parser(TOOLS, request_texts=texts),
        CALLS["mistral"][:-4].replace("rm", "RM"),
        "length",
    )
    assert found == Seen("", (Call("bash", '{"command":"RM -rf', whole=False),))


def test_calls_that_are_held_are_compared_too() -> None:
    for text in (
        f"```\n{HERMES}\n```",
        f"```\n{HERMES}\n",
        CALLS["generic_json"],
        CALLS["pythonic"],
        f"call:bash{{command:{'x' * 9}}}",
    ):
        assert read(text, request=["So: " + text.strip("`\n")]) == Seen(text), text
        assert read(text, request=["So: " + HERMES.replace("~", "x")]).calls, text


def test_a_bare_call_without_arguments_is_what_the_user_asks_for() -> None:
    assert read("list_files()", request=["Please call list_files()."]).calls == (LIST,)


def test_a_grammar_that_looks_far_ahead() -> None:
    """What stands behind a call is no part of it, though its grammar has seen it."""
    call = CALLS["kimi_k3"]
    cut = call[: call.index("<|close|>tools")]
    assert read(f"{call})", request=[cut]) == Seen(f"{call})")


def test_a_grammar_that_fails_behind_a_repeated_call() -> None:
    text = f"{HERMES}\n<tool_call>\n{{}}"
    assert always(lambda: Parser(TOOLS, request_texts=[HERMES]), text, cuttings=few(text)) == Seen(
        text
    )


def test_named_or_not() -> None:
    for name in ("hermes", "mistral"):
        parser = Parser(TOOLS, name, request_texts=[CALLS[name]])
        assert not any(
            hasattr(event, "whole") for event in [*parser.feed(CALLS[name]), *parser.close()]
        )
    assert ModelHint().dialects == ()
    assert set(LISTS) <= set(DIALECTS)


LONG = HERMES.replace("~", "~" + "x" * 600)


def test_a_long_call_that_begins_alike_leaves_before_its_end() -> None:
    whole = Call("bash", {"command": "rm -rf ~" + "x" * 600})
    assert read(f"{LONG}\n{LONG}", request=[HERMES]).calls == (whole, whole)
    found = always(
        lambda: Parser(TOOLS, request_texts=[HERMES]), LONG[:-40], "length", few(LONG[:-40])
    )
    assert [(call.name, call.whole) for call in found.calls] == [("bash", False)]
    assert found.content == ""


def test_a_later_call_that_its_grammar_leaves_open() -> None:
    text = WRITTEN["lfm2"].render([("list_files", {}), ("bash", REMOVE.arguments)])
    cut = text[: text.index("~")]
    found = always(lambda: Parser(TOOLS, request_texts=[CALLS["lfm2"]]), cut, "length")
    assert found == Seen(", bash(command='rm -rf ", (LIST,))
    other = cut.replace("rm", "RM")
    found = always(lambda: Parser(TOOLS, request_texts=[CALLS["lfm2"]]), other, "length")
    assert found == Seen("", (LIST, Call("bash", '{"command":"RM -rf ', whole=False)))
