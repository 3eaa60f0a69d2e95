"""When an answer is not asked for again, what of the question may be changed, and
TOOL_PARSING=raw.
"""

from typing import Any

import httpx
import pytest

from tests.backend import DONE, ROLE, STOP, chunk, event, stream, text
from tests.completion.recovery import (
    FAILED,
    FAILURES,
    JINJA,
    SAID,
    SCHEMA,
    answers,
    ask,
    asked,
    error,
    failure_of,
    gives_up,
    is_raw,
    llama,
    losing,
    refuses,
    watered,
)
from tests.web.round_trip import BOTH, Heard, Road, failed, heard, native, refused
from tests.web.test_chat_calls import JSON, WATERED, XML, letters

# when it is not asked again


@BOTH
async def test_never_after_a_call_has_left(streamed: bool) -> None:
    whole = native(0, '{"plant":"fern","litres":2}', id="a", name="water")
    for said in (letters(SAID), [*text("So: "), whole, native(1, "{", id="b", name="write")]):
        road = llama(gives_up(*said), answers())
        answer = heard(await ask(road, streamed=streamed))
        assert (answer.content.strip(), answer.calls[0].name, answer.finish) == (
            "So:",
            "water",
            "tool_calls",
        )
        assert len(asked(road)) == 1


@BOTH
async def test_never_after_the_finish(streamed: bool) -> None:
    road = llama(stream(ROLE, *text("Hello."), STOP, event(error())), answers())
    assert heard(await ask(road, streamed=streamed)) == Heard("Hello.", finish="stop")
    assert len(asked(road)) == 1


@BOTH
@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {"n": 2}),
        ({}, {"tool_choice": "required"}),
        ({}, {"tool_choice": {"type": "function", "function": {"name": "water"}}}),
        ({"tool_parsing": "raw"}, {"tool_choice": "required"}),
        ({"tool_parsing": "native"}, {}),
        ({"backend_kind": "generic"}, {}),
    ],
    ids=str,
)
@FAILURES
async def test_never(streamed: bool, options: dict[str, str], fields: Any, failure: str) -> None:
    road = llama(failure_of(failure), answers(), **options)
    call = await ask(road, streamed=streamed, **fields)
    _, told = failed(call) if streamed and failure == "event after the role" else refused(call)
    assert told["message"] == FAILED
    assert len(asked(road)) == 1
    assert "tool_choice" not in asked(road)[0] or asked(road)[0]["tool_choice"] == "required"


@BOTH
@pytest.mark.parametrize(
    "message",
    ["the slot is gone", "request (9 tokens) exceeds the available context size (5 tokens)"],
)
async def test_never_for_another_reason(streamed: bool, message: str) -> None:
    road = llama(refuses(message), answers())
    assert refused(await ask(road, streamed=streamed))[1]["message"] == message
    assert len(asked(road)) == 1


@BOTH
@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    ],
)
async def test_never_without_a_part_of_the_question(streamed: bool, fields: Any) -> None:
    road = llama(refuses(), refuses(), completion=answers())
    assert refused(await ask(road, streamed=streamed, **fields))[0] == 500
    assert len(asked(road)) == 2


# schemas


STRICT = [
    {
        "type": "function",
        "function": {
            "name": "water",
            "parameters": {"type": "object", "properties": {"plant": {"$ref": "#/x"}}},
        },
    }
]
SOFT = [
    {
        "type": "function",
        "function": {
            "name": "water",
            "parameters": {"type": "object", "properties": {"plant": {}}},
        },
    }
]


@BOTH
@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_a_schema_that_makes_no_grammar_is_softened(
    streamed: bool, status: int, choice: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    made = native(0, '{"plant":"fern","litres":2}', id="c", name="water")
    road = llama(refuses(SCHEMA, status), stream(ROLE, made, chunk(finish="tool_calls"), DONE))
    assert watered(await ask(road, streamed=streamed, tools=STRICT, tool_choice=choice), "")
    first, second = asked(road)
    assert (first["tools"], second["tools"], second["tool_choice"]) == (STRICT, SOFT, choice)
    assert (
        caplog.records[0].getMessage().endswith("| calls: 1 recovered | recovered: relaxed schemas")
    )


@BOTH
async def test_and_then_it_goes_the_raw_way(streamed: bool) -> None:
    for second in (refuses(SCHEMA), gives_up()):
        road = llama(refuses(SCHEMA), second, answers())
        assert watered(await ask(road, streamed=streamed, tools=STRICT))
        assert [question.get("tool_choice") for question in asked(road)] == [None, None, "none"]
    road = llama(
        refuses(SCHEMA), refuses("failed to parse grammar"), refuses(JINJA), completion=answers()
    )
    assert refused(await ask(road, streamed=streamed, tools=STRICT))[1]["message"] == SCHEMA
    assert len(asked(road)) == 3


@BOTH
async def test_a_schema_that_nothing_can_soften_goes_there_at_once(streamed: bool) -> None:
    road = llama(refuses("failed to parse grammar"), answers())
    assert watered(await ask(road, streamed=streamed))
    assert is_raw(asked(road)[1])


@BOTH
async def test_a_required_call_ends_with_the_softer_schemas(streamed: bool) -> None:
    road = llama(refuses(SCHEMA), refuses("failed to parse grammar"), answers())
    assert (
        refused(await ask(road, streamed=streamed, tools=STRICT, tool_choice="required"))[1][
            "message"
        ]
        == SCHEMA
    )
    assert len(asked(road)) == 2


# TOOL_PARSING=raw


@BOTH
@pytest.mark.parametrize("kind", ["llama_cpp", "auto"])
async def test_raw_from_the_start(
    streamed: bool, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "llama-bridge")
    road = llama(answers(), backend_kind=kind, tool_parsing="raw")
    listed = {"data": [{"id": "m", "owned_by": "llamacpp"}]}
    road.script.on({"/v1/models": httpx.Response(200, json=listed)})
    assert watered(await ask(road, streamed=streamed))
    (question,) = asked(road)
    assert is_raw(question)
    assert caplog.records[0].getMessage().endswith("| calls: 1 parsed from text")


@BOTH
async def test_raw_for_several_answers_too(streamed: bool) -> None:
    said = [*letters(JSON), *letters(XML, index=1), STOP, chunk(finish="stop", index=1), DONE]
    road = losing(stream(ROLE, *said), tool_parsing="raw")
    call = await ask(road, streamed=streamed, n=2)
    assert heard(call, 0).made == [WATERED]
    assert [name for name, _ in heard(call, 1).made] == ["write"]
    assert is_raw(asked(road)[0])


@BOTH
async def test_a_call_that_must_come_is_asked_for_natively_all_the_same(streamed: bool) -> None:
    made = native(0, '{"plant":"fern","litres":2}', id="c", name="water")
    road = llama(stream(ROLE, made, chunk(finish="tool_calls"), DONE), tool_parsing="raw")
    assert watered(await ask(road, streamed=streamed, tool_choice="required"), "")
    assert asked(road)[0]["tool_choice"] == "required"


@BOTH
@pytest.mark.parametrize(
    ("prompt", "options", "thoughts", "content"),
    [
        ("<|im_start|>assistant\n<think>\n", {}, "Hm.", "So:"),
        ("<|im_start|>assistant[THINK]", {}, "Hm.", "So:"),
        ("<|im_start|>assistant\n", {}, "", "Hm.</think>\n\nSo:"),
        ("<|im_start|>assistant\n<think>\n", {"thinking": "tags"}, "", "Hm.</think>\n\nSo:"),
        ("<|im_start|>assistant\n", {"thinking": "forced"}, "Hm.", "So:"),
    ],
)
async def test_a_prompt_that_opens_the_thoughts(
    streamed: bool, prompt: str, options: Any, thoughts: str, content: str
) -> None:
    said = [event({"content": f"Hm.</think>\n\n{SAID}", "stop": True})]
    road = losing(
        template=httpx.Response(200, json={"prompt": prompt}),
        completion=stream(*said),
        tool_parsing="raw",
        **options,
    )
    assert watered(await ask(road, streamed=streamed), content, thoughts)
    assert [question["prompt"] for question in asked(road)] == [prompt]


@BOTH
async def test_a_raw_answer_that_gives_up_is_not_asked_for_the_same_way(streamed: bool) -> None:
    road = llama(
        refuses(SCHEMA),
        completion=stream(event({"content": SAID, "stop": True})),
        tool_parsing="raw",
    )
    assert watered(await ask(road, streamed=streamed))
    assert len(asked(road)) == 2
    road = llama(refuses(SCHEMA), completion=refuses(), tool_parsing="raw")
    assert refused(await ask(road, streamed=streamed, tools=STRICT))[1]["message"] == SCHEMA
    assert len(asked(road)) == 2


@BOTH
async def test_another_kind_of_server_has_no_raw_way(streamed: bool) -> None:
    road = Road(answers(), backend_kind="auto", tool_parsing="raw")
    for _ in range(2):
        status, told = refused(await ask(road, streamed=streamed))
        assert (status, told["code"]) == (400, "invalid_request")
        assert (
            told["message"] == "TOOL_PARSING=raw needs a llama.cpp backend, but this one is generic"
        )
    assert road.script.questions() == []
