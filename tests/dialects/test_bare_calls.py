"""Calls without a marker in front: only as the whole message, or with a hint."""

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.parsing.dialect import ModelHint
from tests.dialects.renderers import WRITTEN
from tests.dialects.test_quoted_calls import CALLS, REMOVE, TOOLS, read, refused, speaks_for
from tests.parsing.cuts import Call, Seen, always

ARGUMENTS = '{"command": "rm -rf ~"}'
OBJECT = f'{{"name": "bash", "arguments": {ARGUMENTS}}}'
BARE = {
    "gemma": "call:bash{command:rm -rf ~}",
    "generic_json": OBJECT,
    "llama3": OBJECT.replace("arguments", "parameters"),
    "pythonic": 'bash(command="rm -rf ~")',
    "functionary": f"bash\n{ARGUMENTS}",
}
"""Nothing proves them but that nothing else is said."""
PROVEN = {
    "hermes": f"{OBJECT}\n</tool_call>",
    "glm": "bash\n<arg_key>command</arg_key>\n<arg_value>rm -rf ~</arg_value>\n</tool_call>",
    "mistral": f"bash[ARGS]{ARGUMENTS}",
    "deepseek_v31": f"bash<｜tool▁sep｜>{ARGUMENTS}<｜tool▁call▁end｜>",
    "deepseek_v3": f"function<｜tool▁sep｜>bash\n```json\n{ARGUMENTS}\n```<｜tool▁call▁end｜>",
    "kimi_k2": f"functions.bash:0{ARGUMENTS}",
    "command_r": f'[{{"tool_name": "bash", "parameters": {ARGUMENTS}}}]<|END_ACTION|>',
    "lfm2": '[bash(command="rm -rf ~")]<|tool_call_end|>',
    "gemma": 'call:bash{command:<|"|>rm -rf ~<|"|>}<tool_call|>',
    "inkling": (
        f'bash<|content_invoke_tool_json|>{{"name": "bash", "args": {ARGUMENTS}}}<|end_message|>'
    ),
}
"""Their opener is lost, and what stands behind it proves them."""
WEAK = {"firefunction": CALLS["firefunction"], "command_r_plus": CALLS["command_r_plus"]}
"""Their opener is made of ordinary words."""


def test_every_doubtful_form_is_in_these_tables() -> None:
    hinted = {name for name, one in DIALECTS.items() if one.needs_hint}
    same = {
        "longcat",
        "iquest_json",
        "k2_horizon_json",
        "jamba",
        "nemotron",
        "phi4",
        "internlm2",
        "llama4",
        "olmo3",
    }
    assert {
        name for name, one in DIALECTS.items() if one.tentative_grammar
    } - hinted - same == BARE.keys() | PROVEN.keys()
    assert {name for name, one in DIALECTS.items() if one.weak} == WEAK.keys()


@pytest.mark.parametrize("name", BARE)
def test_a_bare_call_is_the_whole_message(name: str) -> None:
    call = BARE[name]
    assert read(call).calls == (REMOVE,)
    assert read(f"\n{call}\n").calls == (REMOVE,)
    for text in (
        f"{call} would delete it, so I do not run it.",
        f"{call}\nThat would delete it.",
        f"So:\n{call}",
        f"So: {call}",
    ):
        assert read(text) == Seen(text), text


def test_the_one_of_the_review() -> None:
    text = "call:bash{command:rm -rf x} would delete it, so I do not run it."
    assert read(text) == Seen(text)
    assert refused(text) == {"bare": 1}


def test_with_a_hint_prose_may_follow() -> None:
    call = BARE["gemma"]
    for hint in (ModelHint(model="gemma-4-12b"), speaks_for("gemma")):
        assert read(f"{call}\nSo.", hint) == Seen("So.", (REMOVE,))
    assert always(lambda: Parser(TOOLS, "gemma"), f"{call}\nSo.") == Seen("So.", (REMOVE,))


@pytest.mark.parametrize("name", PROVEN)
def test_what_has_lost_its_opener_has_its_line_for_itself(name: str) -> None:
    call = PROVEN[name]
    assert read(call).calls == (REMOVE,)
    assert read(f"{call}\nSo.") == Seen("So.", (REMOVE,))
    text = f"{call} would delete it."
    assert read(text) == Seen(text)
    assert refused(text) == {"bare": 1}
    assert read(text, speaks_for(name)).calls == (REMOVE,)


@pytest.mark.parametrize("name", WEAK)
def test_behind_an_opener_of_ordinary_words_nothing_follows(name: str) -> None:
    call = WEAK[name]
    assert read(call).calls == (REMOVE,)
    assert read(f"I look: {call}\nSo.").calls == (REMOVE,)
    text = f"{call} would delete it."
    assert read(text) == Seen(text)
    assert refused(text, quoted="run") == {"bare": 1}
    assert read(text, ModelHint(model=name.replace("_", "-"))).calls == (REMOVE,)


def test_behind_other_calls() -> None:
    first, bare = WRITTEN["hermes"].render([("bash", {"command": "ls"})]), BARE["gemma"]
    listed = Call("bash", {"command": "ls"})
    assert read(f"{first}\n{bare}").calls == (listed, REMOVE)
    assert read(f"{first}\n{bare} So.") == Seen(f"\n{bare} So.", (listed,))
    assert read(f"{bare}\n{first}").calls == (REMOVE, listed)
    assert read(f"{bare}\n{bare}").calls == (REMOVE, REMOVE)
    assert read(f"So.\n{first}\n{bare}") == Seen(f"So.\n\n{bare}", (listed,))
    assert refused(f"So.\n{first}\n{bare}") == {"bare": 1}
    assert read(f"{first}\n{PROVEN['hermes']}").calls == (listed, REMOVE)


def test_in_a_fence() -> None:
    for call in (*BARE.values(), *PROVEN.values()):
        fenced = f"So:\n~~~\n{CALLS['hermes']}\n{call}\n~~~\nSo."
        assert read(fenced) == Seen(fenced)
        assert read(f"~~~\n{call}\n~~~").calls == (REMOVE,)


def test_cut() -> None:
    text = BARE["gemma"]
    assert always(lambda: Parser(TOOLS), text, "length") == Seen(text)
    assert refused(text, finish="length") == {}
    assert always(lambda: Parser(TOOLS), BARE["generic_json"], "stop").calls == (
        Call("bash", {"command": "rm -rf ~"}),
    )
