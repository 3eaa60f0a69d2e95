"""A call that an answer only quotes is text, word for word, and counted by its rule; no real
call is lost by that.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, cycle
from typing import Any

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.parsing.dialect import ModelHint
from proxy.parsing.events import CallArguments, CallStart
from proxy.parsing.quoting import QuotedCalls
from tests.corpus.score import lines
from tests.dialects.framings import ALWAYS, IN_PROSE, UNLESS_OWN
from tests.dialects.renderers import WRITTEN
from tests.parsing.cuts import Call, Seen, always, chances, events_of, few, seen, tool

TOOLS = [
    tool("bash", command={"type": "string"}),
    tool("list_files"),
    tool("read", path={"type": "string"}),
]
REMOVE = Call("bash", {"command": "rm -rf ~"})
CALLS = {
    name: written.render([("bash", REMOVE.arguments)]).strip() for name, written in WRITTEN.items()
}
MARKED = {name: call for name, call in CALLS.items() if not WRITTEN[name].weak}
HERMES = CALLS["hermes"]

UNKNOWN = ModelHint()
OWN = ModelHint(
    template=" ".join(
        marker for one in DIALECTS.values() for marker in (*one.template_markers, *one.openers)
    )
)
"""Speaks for every dialect."""
OTHERS = ("mistral", "hermes", "gemma")


def speaks_for(name: str) -> ModelHint:
    """A template that has this dialect alone."""
    return ModelHint(template=" ".join((*DIALECTS[name].template_markers, *DIALECTS[name].openers)))


def another(name: str) -> ModelHint:
    """A template that shares no opener with this dialect."""
    openers = DIALECTS[name].openers
    apart = (
        one
        for one in OTHERS
        if not any(
            a.startswith(b) or b.startswith(a) for a in openers for b in DIALECTS[one].openers
        )
    )
    return speaks_for(next(apart))


def read(
    text: str,
    hint: ModelHint = UNKNOWN,
    cuttings: Iterable[list[str]] | None = None,
    request: Iterable[str] = (),
) -> Seen:
    texts = tuple(request)
    return always(
        lambda: Parser(TOOLS, hint=hint, request_texts=texts), text, cuttings=cuttings or few(text)
    )


def refused(
    text: str,
    hint: ModelHint = UNKNOWN,
    request: Iterable[str] = (),
    quoted: QuotedCalls = "text",
    finish: str = "stop",
) -> dict[str, int]:
    """What the log shows; the same however the text comes."""
    found: list[dict[str, int]] = []
    for pieces in few(text):
        parser = Parser(TOOLS, hint=hint, request_texts=tuple(request), quoted_calls=quoted)
        events_of(parser, pieces, finish)
        found.append(dict(parser.quoted_calls))
    assert all(one == found[0] for one in found), found
    return found[0]


def framed() -> Iterator[tuple[str, str]]:
    """Every framing, by its rule."""
    yield from (
        (rule, framing)
        for rule, framings in chain(ALWAYS.items(), UNLESS_OWN.items())
        for framing in framings
    )


@pytest.mark.parametrize("rule", [*ALWAYS, *UNLESS_OWN])
def test_in_every_cutting(rule: str) -> None:
    names = cycle(MARKED)
    for framing in {**ALWAYS, **UNLESS_OWN}[rule]:
        for _ in range(3):
            text = framing.replace("§", CALLS[next(names)])
            assert read(text, cuttings=[[text], list(text), *chances(text, 2)]) == Seen(text), (
                framing
            )


@pytest.mark.parametrize("rule", ALWAYS)
def test_what_is_quoted_is_text_for_every_model(rule: str) -> None:
    for name, framing in zip(cycle(MARKED), ALWAYS[rule] * 3, strict=False):
        text = framing.replace("§", CALLS[name])
        for hint in (OWN, another(name), ModelHint(dialects=(name,))):
            assert read(text, hint, [[text]]) == Seen(text), (framing, name)


WORDS = {"path": "line-number"}


@pytest.mark.parametrize(("rule", "framing"), list(framed()))
def test_each_refusal_is_counted_by_its_rule(rule: str, framing: str) -> None:
    text = framing.replace("§", CALLS["mistral"])
    assert refused(text) == {WORDS.get(rule, rule): 1}


@pytest.mark.parametrize("name", MARKED)
def test_in_its_own_dialect_a_list_item_or_an_indented_call_is_a_call(name: str) -> None:
    for framing in ("- §", "1. §", "So:\n\n    §", "Steps:\n- first\n- §"):
        text = framing.replace("§", CALLS[name])
        assert read(text, OWN, [[text]]).calls == (REMOVE,), framing


@pytest.mark.parametrize("name", MARKED)
def test_in_the_prose_of_a_model_that_is_known_to_write_otherwise(name: str) -> None:
    for framing in (*IN_PROSE, "So: §", "§ §\nx"):
        text = framing.replace("§", CALLS[name])
        found = read(text, another(name))
        assert found == Seen(text) or framing == "§ §\nx", framing
    assert refused(f"So: {CALLS[name]}", another(name)) == {"other-dialect": 1}


def test_alone_on_its_line_another_dialect_is_a_call() -> None:
    for framing in (
        "§",
        "§\n",
        "I look.\n§\n\nDone.",
        "I look.\n\n§",
        "§ §",
        "a\n§\nb\n§\n",
        "<think>a</think>§",
        "hm</think>§\nb",
    ):
        for name in (
            "hermes",
            "gemma",
            "kimi_k2",
            *(() if "</think>" in framing else ("functionary",)),
        ):
            text = framing.replace("§", CALLS[name])
            assert len(read(text, speaks_for("mistral")).calls) == framing.count("§"), (
                framing,
                name,
            )


REAL = (
    "§",
    "\n\n§",
    "    §",
    "I look: §",
    "I look. §",
    "I look.\n\n§",
    "I look.\n§\nDone.",
    "So §, and so on",
    'The "main.py" file: §',
    'The file "main.py"§',
    "**Plan:** I look. §",
    "**Plan:**§",
    "I look (at all). §",
    "I look (again",
    "It is 5' 3\" wide. §",
    "Don't worry. I'll look. §",
    "the users' files: §",
    "2 files are left. §",
    "2024 was long. §",
    "10:30 is now. §",
    "-1 is no index. §",
    "+1 from me. §",
    "a > b, so §",
    "a <- b § c",
    "Use `ls`. §",
    "Use `ls` and <b>go</b>: §",
    "<!-- note --> §",
    "# Plan\n§",
    "> He asks.\n\n§",
    "- one\n- two\n\n§",
    "- one\n- two\n§",
    "| a |\n|---|\n§",
    "```\nls\n```\n§",
    "snake_case_name and *.py and 2 * 3: §",
    "«Bon», je regarde. §",
    "“Good.” §",
    "好的，我来看看。§",
    'He said:\n"Go."\n§',
    "An open (bracket\n§ and a partner)",
    'An open "quote\n\n§\n\nand its partner"',
    "<!-- a\n\n§\n\n-->",
    '"§\n\nand " later',
    "*§\n* item",
    "(§",
    '"§',
)
"""Where models call tools: each is a call, whatever is known of the model."""


@pytest.mark.parametrize("framing", REAL)
def test_a_real_call_is_a_call(framing: str) -> None:
    for name in ("hermes", "qwen3_coder", "mistral", "kimi_k2"):
        text = framing.replace("§", CALLS[name])
        for hint in (UNKNOWN, OWN):
            assert read(text, hint).calls == (REMOVE,) * framing.count("§"), name


def test_indented_calls_at_the_very_start_are_calls() -> None:
    text = "\n".join(f"    {HERMES}" for _ in range(5))
    assert read(text).calls == (REMOVE,) * 5


def test_no_recorded_call_is_touched() -> None:
    """Of no answer of the corpus a call is refused that is one."""
    names = (
        "hermes",
        "qwen3_coder",
        "glm",
        "mistral",
        "harmony",
        "kimi_k2",
        "deepseek_v31",
        "minimax_m2",
        "misc",
        "malformed",
        "reasoning",
    )
    for case in lines(*names):
        if case["expect"]["tool_calls"]:
            parser = Parser(case["tools"], "auto", case["thinking"])
            events_of(parser, [case["text"]], case["finish_reason"])
            assert not parser.quoted_calls, case["id"]


INSIDE = Call("bash", {"command": f"echo '{CALLS['mistral']}'"})


def test_nothing_inside_a_refused_call_runs() -> None:
    call = WRITTEN["qwen3_coder"].render([("bash", INSIDE.arguments)])
    for framing in ("> §", '"§"', "- §", "<!-- § -->", "12: §"):
        text = framing.replace("§", call)
        assert read(text) == Seen(text)
        assert refused(text).popitem()[1] == 1


def test_a_real_call_behind_a_quoted_one_is_a_call() -> None:
    for framing in ("> §", '"§"', "- §", "<!-- § -->", "(§)", "12: §", "`§`"):
        quoted = framing.replace("§", CALLS["mistral"])
        for text in (f"{quoted}\n\n{HERMES}", f"{quoted}\n\nI look: {HERMES}"):
            found = read(text)
            assert found.calls == (REMOVE,), framing
            assert found.content.startswith(quoted), framing


def test_calls_that_are_held_together() -> None:
    two = f"{HERMES} {CALLS['mistral']}"
    assert read(f'"{two}" x') == Seen(f'"{two}" x')
    assert refused(f'"{two}" x') == {"quotes": 2}
    assert read(f'"{two}').calls == (REMOVE, REMOVE)
    assert read(f"({two}\n```\n{HERMES}\n```\n\n)") == Seen(
        f"(\n```\n{HERMES}\n```\n\n)", (REMOVE, REMOVE)
    )


def test_what_is_cut_behind_an_opening_mark_is_text() -> None:
    assert always(lambda: Parser(TOOLS), f'"{HERMES}', "length") == Seen(f'"{HERMES}')
    assert refused(f'"{HERMES}', finish="length") == {"quotes": 1}
    foreign = speaks_for("mistral")
    assert always(lambda: Parser(TOOLS, hint=foreign), HERMES, "length").calls == (REMOVE,)


def test_a_mark_that_quotes_does_not_reach_into_the_next_part() -> None:
    for end in ("<|im_end|>", "\n<think>x</think>"):
        found = read(f'<think>a</think>"{HERMES}{end}b"', speaks_for("hermes"))
        assert found.calls == (REMOVE,), end
    assert read(f'"{HERMES}</s>b"') == Seen(f'"{HERMES}</s>b"')


BOUNDARIES: Mapping[str, tuple[str, ModelHint]] = {
    "the end of a message": (f"- So.<|end|>{HERMES}", UNKNOWN),
    "the end of a message in another dialect": (f"So.<|end|>{HERMES}", speaks_for("mistral")),
    "its own token": (f"- So.<|im_end|>{HERMES}", speaks_for("hermes")),
    "reasoning": (f"<think>- a</think>{HERMES}", speaks_for("mistral")),
    "the beginning of a message": (
        f"So.<|start|>assistant{CALLS['harmony']}",
        speaks_for("mistral"),
    ),
    "a header": (f"<|channel|>final<|message|>{HERMES}", speaks_for("mistral")),
}


@pytest.mark.parametrize("case", BOUNDARIES)
def test_behind_a_boundary_a_line_begins(case: str) -> None:
    text, hint = BOUNDARIES[case]
    assert read(text, hint).calls == (REMOVE,)


def test_a_boundary_inside_a_quotation_is_quoted() -> None:
    for text in (
        f"> a<|end|>{HERMES}",
        f"> <|start|>assistant{CALLS['harmony']}",
        f"12: <|end|>{HERMES}",
    ):
        assert read(text) == Seen(text)


def test_calls_in_the_reasoning() -> None:
    for framing in ("- §", "> §", "So:\n\n    §"):
        quoted = framing.replace("§", HERMES)
        assert read(f"<think>{quoted}</think>") == Seen("", (), quoted)
        assert read(f"<think>{quoted}</think>", speaks_for("hermes")).calls == (
            () if framing[0] == ">" else (REMOVE,)
        )
    assert refused(f"<think>- {HERMES}</think>") == {"list": 1}
    assert refused(f"<think>{HERMES} no</think>") == {}
    assert read(f"<think>a {HERMES}</think>", speaks_for("mistral")) == Seen("", (), f"a {HERMES}")
    assert read(f"<think>{HERMES}</think>", request=[HERMES]) == Seen("", (), HERMES)


def test_quoted_calls_may_run_all_the_same() -> None:
    for framing in ("> §", '"§"', "- §", "12: §", "<!-- § -->"):
        text = framing.replace("§", HERMES)
        parser = Parser(TOOLS, quoted_calls="run", request_texts=[text], hint=speaks_for("mistral"))
        assert seen(events_of(parser, [text])).calls == (REMOVE,)
    assert refused(f"`{HERMES}`", quoted="run") == {"code": 1}


def test_calls_in_code_are_counted() -> None:
    for text, count in (
        (f"a `{HERMES}` b `{HERMES}`.", 2),
        (f"a ``{HERMES} ` x`` b", 1),
        ("the tag `<tool_call>` and `<function=x>`", 0),
        (f"`<tool_call>` and later {'x ' * 200}", 0),
        (f"``` {HERMES}\nx", 1),
        (f"a `{HERMES}", 1),
    ):
        assert refused(text) == ({"code": count} if count else {}), text[:80]


def streamed(text: str, **known: Any) -> list[str]:
    """What of a call has left before its last letter came."""
    parser = Parser(TOOLS, **known)
    events = [event for letter in text[:-30] for event in parser.feed(letter)]
    return [
        "start" if isinstance(event, CallStart) else event.text
        for event in events
        if isinstance(event, (CallStart, CallArguments))
    ]


LONG = f'<tool_call>\n{{"name": "bash", "arguments": {{"command": "{"x" * 500}"}}}}\n</tool_call>'


def test_a_call_without_a_mark_before_it_streams() -> None:
    for text in (
        LONG,
        f'The "main.py" file: {LONG}',
        f"**Plan:** I look (now). {LONG}",
        f"- a\n- b\n\n{LONG}",
    ):
        assert len(streamed(text)) > 400
        assert len(streamed(text, hint=speaks_for("hermes"))) > 400


def test_only_the_beginning_of_a_call_is_held_whose_opener_the_request_has() -> None:
    assert len(streamed(LONG, request_texts=[HERMES])) > 100
    assert streamed(LONG, request_texts=[LONG]) == []
    assert streamed(f'"{LONG}') == []
    assert streamed(LONG, hint=speaks_for("mistral")) == []


def test_a_line_may_be_long() -> None:
    for length in (100, 1000, 3000, 9000):
        words = "word " * (length // 5)
        for text in (
            f"> {words}{HERMES}",
            f"a\n\n> {words}{HERMES}",
            f"{words}\n| {words}{HERMES}",
            f'a\n{words}"{HERMES}"',
        ):
            assert read(text, cuttings=[[text], list(text), *chances(text, 1)]) == Seen(text)
        for text in (f"> {words}\n\n{HERMES}", f"{words}\n{words}{HERMES}", f'"{words}" {HERMES}'):
            assert read(text, cuttings=[[text], list(text), *chances(text, 1)]).calls == (REMOVE,)
