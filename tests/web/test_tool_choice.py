"""`tool_choice` applies to every backend; the client learns when the model did not respect it."""

from typing import Any

import pytest

from tests.backend import DONE, END, STOP, chunk, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, Road, failed, heard, native, refused

WATER = {"type": "function", "function": {"name": "water"}}
KINDS = pytest.mark.parametrize(
    "kind", ["generic", "llama_cpp", "ollama", "lm_studio", "vllm", "llama_cpp_python"]
)
LEAKED = '<tool_call>{"name": "%s", "arguments": {"a": 1}}</tool_call>'
CALLS = chunk(finish="tool_calls")


def called(name: str, leaked: str) -> tuple[Any, ...]:
    if leaked == "leaked":
        return (*text("I call. ", LEAKED % name), *END)
    return (native(0, '{"a":1}', id="c", name=name), CALLS, DONE)


HOW = pytest.mark.parametrize("how", ["native", "leaked"])


@KINDS
@BOTH
@HOW
async def test_a_named_tool_is_called(kind: str, streamed: bool, how: str) -> None:
    road = Road(stream(*called("water", how)), backend_kind=kind)
    answer = heard(await road.ask(streamed=streamed, tools=TOOLS, tool_choice=WATER))
    assert (answer.made, answer.finish) == ([("water", {"a": 1})], "tool_calls")


@KINDS
@HOW
@pytest.mark.parametrize("other", ["write", "undeclared"])
async def test_a_call_of_another_tool_never_leaves(kind: str, how: str, other: str) -> None:
    road = Road(stream(*called(other, how)), backend_kind=kind)
    deltas, error = failed(await road.ask(tools=TOOLS, tool_choice=WATER))
    assert not any("tool_calls" in delta for delta in deltas)
    assert error["code"] == "tool_choice_unmet"
    assert f"requires a call of 'water', but the model called '{other}' instead" in error["message"]


@KINDS
async def test_an_answer_as_plain_text_is_a_refusal_with_its_reason(kind: str) -> None:
    asked: dict[str, Any] = {"tools": TOOLS, "tool_choice": WATER}
    deltas, error = failed(await Road(stream(*text("no"), *END), backend_kind=kind).ask(**asked))
    assert deltas[-1] == {"content": "no"}
    status, same = refused(
        await Road(stream(*text("no"), *END), backend_kind=kind).ask(streamed=False, **asked)
    )
    assert (status, error["code"], error["param"]) == (400, "tool_choice_unmet", "tool_choice")
    assert error == same
    assert "answered without it; the backend does not enforce it" in error["message"]


@BOTH
@HOW
async def test_beside_the_named_tool_no_other_leaves(how: str, streamed: bool) -> None:
    both = (
        (
            native(0, '{"a":1}', id="c", name="write"),
            native(1, '{"a":2}', id="d", name="water"),
            CALLS,
            DONE,
        )
        if how == "native"
        else (*text(LEAKED % "write", (LEAKED % "water").replace("1", "2")), *END)
    )
    answer = heard(await Road(stream(*both)).ask(streamed=streamed, tools=TOOLS, tool_choice=WATER))
    assert answer.made == [("water", {"a": 2})]


@BOTH
@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_cut_is_no_refusal(reason: str, streamed: bool) -> None:
    road = Road(stream(*text("I"), chunk(finish=reason), DONE))
    assert heard(await road.ask(streamed=streamed, tools=TOOLS, tool_choice=WATER)).finish == reason


@BOTH
@pytest.mark.parametrize(
    "choice", ["required", "auto", {"allowed_tools": {"mode": "auto", "tools": [WATER]}}]
)
async def test_where_no_tool_is_demanded_by_name_words_are_an_answer(
    choice: Any, streamed: bool
) -> None:
    road = Road(stream(*text("no"), *END))
    assert heard(await road.ask(streamed=streamed, tools=TOOLS, tool_choice=choice)).content == "no"


@BOTH
async def test_only_tools_that_are_allowed_are_called(streamed: bool) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WATER]}}
    road = Road(stream(*called("write", "native")))
    answer = heard(await road.ask(streamed=streamed, tools=TOOLS, tool_choice=choice))
    assert (answer.calls, answer.finish) == ((), "stop")


@BOTH
async def test_with_none_no_call_leaves_also_where_the_backend_makes_one(streamed: bool) -> None:
    road = Road(stream(*text("a"), native(0, "{}", id="c", name="write"), STOP, DONE))
    answer = heard(await road.ask(streamed=streamed, tools=TOOLS, tool_choice="none"))
    assert (answer.content, answer.calls, answer.finish) == ("a", (), "stop")


@BOTH
async def test_an_undeclared_tool_is_the_client_s_to_refuse(streamed: bool) -> None:
    """Clients answer an unknown call with an error that the model can react to.

    If the proxy dropped the call, the conversation would just end.
    """
    for how in ("native", "leaked"):
        answer = heard(
            await Road(stream(*called("undeclared", how))).ask(streamed=streamed, tools=TOOLS)
        )
        assert answer.made == [("undeclared", {"a": 1})]


@BOTH
async def test_bare_json_that_names_no_declared_tool_stays_text(streamed: bool) -> None:
    said = '{"name": "undeclared", "arguments": {"a": 1}}'
    assert (
        heard(await Road(stream(*text(said), *END)).ask(streamed=streamed, tools=TOOLS)).content
        == said
    )


@BOTH
@KINDS
async def test_a_choice_of_an_unknown_tool_is_refused_before_anything_is_asked(
    kind: str, streamed: bool
) -> None:
    road = Road(stream(*END), backend_kind=kind)
    status, error = refused(
        await road.ask(
            streamed=streamed,
            tools=TOOLS,
            tool_choice={"type": "function", "function": {"name": "nope"}},
        )
    )
    assert (status, error["code"], error["param"]) == (400, "invalid_request", "tool_choice")
    assert "'nope'" in error["message"]
    assert road.script.asked == []
