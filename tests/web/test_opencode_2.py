"""OpenCode 2, as modelled in `opencode_2`, with every kind of backend."""

import json
from typing import Any

import httpx
import pytest

from tests.backend import DONE, END, STOP, USAGE, chunk, event, stream, text
from tests.web.opencode_2 import CALLED, RESULT, SYSTEM, USER, Heard, listen, turn
from tests.web.round_trip import Road, native

KINDS = pytest.mark.parametrize(
    "kind", ["generic", "llama_cpp", "vllm", "ollama", "lm_studio", "llama_cpp_python"]
)
ANSWER = [*text("a"), *END]
PARTIAL = {"role": "assistant", "content": "I begin"}
INTERRUPTED = {
    "role": "user",
    "content": "The previous response was interrupted. Continue from where you left off.",
}
UPDATE = {"role": "user", "content": "<system-update>The date has changed.</system-update>"}
IMAGE = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}],
}
LAST_STEP = {"role": "assistant", "content": "The maximum number of steps is reached."}

REQUESTS: dict[str, dict[str, Any]] = {
    "first turn": turn(),
    "after a call": turn(USER, CALLED, RESULT),
    "a call of a tool that there is no more": turn(
        USER, json.loads(json.dumps(CALLED).replace("shell", "gone")), RESULT
    ),
    "no tool is active": turn(USER, CALLED, RESULT, USER, tools=[]),
    "no tool is active, and none may be chosen": turn(
        USER, CALLED, RESULT, USER, tools=[], tool_choice="none"
    ),
    "the instructions have changed": turn(USER, PARTIAL, USER, UPDATE),
    "an image behind the result of a tool": turn(USER, CALLED, RESULT, IMAGE),
    "the last step": turn(USER, CALLED, RESULT, LAST_STEP, tool_choice="none"),
    "an answer that was interrupted": turn(USER, PARTIAL, INTERRUPTED),
    "an answer that was interrupted in its thoughts": turn(
        USER, PARTIAL | {"content": None, "reasoning_content": "I"}, INTERRUPTED
    ),
    "a summary": turn(USER, CALLED, RESULT, {"role": "user", "content": "Summarize."}),
    "a summary, asked for again": turn(
        USER, {"role": "user", "content": "Summarize."}, {"role": "user", "content": "As asked."}
    ),
    "keeping warm": turn(USER, {"role": "user", "content": "Reply with OK."}),
    "a title": {
        "messages": [SYSTEM, USER],
        "stream": True,
        "stream_options": {"include_usage": True},
        "store": False,
    },
    "a tool that must be called": turn(tool_choice="required"),
    "an empty answer before": turn(USER, {"role": "assistant", "content": None}, USER),
}


@KINDS
@pytest.mark.parametrize("name", REQUESTS)
async def test_what_it_sends_reaches_the_backend_in_its_order(name: str, kind: str) -> None:
    road = Road(stream(*ANSWER), backend_kind=kind)
    body = REQUESTS[name]
    heard = listen(await road.ask(**body))
    assert (heard.outcome, heard.text) == ("done", "a")
    (asked,) = road.script.questions()
    assert [message["role"] for message in asked["messages"]] == [
        message["role"] for message in body["messages"]
    ]
    assert asked["messages"][-1]["role"] == "user" or name in (
        "after a call",
        "a call of a tool that there is no more",
        "the last step",
    )
    assert "tools" not in asked or asked["tools"]
    assert all(
        message["content"] is not None
        for message in asked["messages"]
        if not message.get("tool_calls")
    )


@KINDS
async def test_the_limit_under_the_name_that_the_backend_knows(kind: str) -> None:
    road = Road(stream(*ANSWER), backend_kind=kind)
    await road.ask(**turn())
    (asked,) = road.script.questions()
    limits = {
        name: asked[name] for name in ("max_tokens", "max_completion_tokens") if name in asked
    }
    assert limits == {
        "max_completion_tokens" if kind in ("generic", "llama_cpp", "vllm") else "max_tokens": 8192
    }


@KINDS
@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (422, {"detail": [{"loc": ["body", "store"], "msg": "Extra inputs are not permitted"}]}),
        (
            400,
            {
                "error": {
                    "message": "Unrecognized request arguments supplied: store, strict",
                    "type": "invalid_request_error",
                }
            },
        ),
    ],
)
async def test_a_backend_that_refuses_what_it_does_not_know(
    kind: str, status: int, refusal: Any
) -> None:
    road = Road(
        httpx.Response(status, json=refusal), stream(*ANSWER), stream(*ANSWER), backend_kind=kind
    )
    for _ in range(2):
        assert listen(await road.ask(**turn())).text == "a"
    assert ["store" in asked for asked in road.script.questions()] == [True, False, False]
    assert ["strict" in asked["tools"][0]["function"] for asked in road.script.questions()][1:] == [
        status == 422
    ] * 2


@KINDS
async def test_an_interrupted_answer_is_no_beginning_of_the_next(kind: str) -> None:
    """Everything that the model writes is new, even if it repeats the start of the old answer."""
    road = Road(stream(*text("I begin", " and end"), *END), backend_kind=kind)
    assert (
        listen(await road.ask(**REQUESTS["an answer that was interrupted"])).text
        == "I begin and end"
    )
    (asked,) = road.script.questions()
    assert [message["content"] for message in asked["messages"][-2:]] == [
        PARTIAL["content"],
        INTERRUPTED["content"],
    ]


PARAMETERS = "<parameter=command>\nls\n</parameter>\n<parameter=timeout>\n5000\n</parameter>"
XML = f"<tool_call>\n<function=shell>\n{PARAMETERS}\n</function>\n</tool_call>"
HERMES = (
    '<tool_call>\n{"name": "shell", "arguments": {"command": "ls", "timeout": 5000}}\n</tool_call>'
)
LS = ("shell", {"command": "ls", "timeout": 5000})
LS_JSON = '{"command":"ls","timeout":5000}'
CALLS = chunk(finish="tool_calls")


def piece(**fields: Any) -> bytes:
    return chunk({"tool_calls": [fields]})


PINGS = [event(b""), event({"type": "ping"}), b": ping\n\n", event({"choices": []})]
WITHOUT_INDEX = [
    piece(id="c", function={"name": "shell", "arguments": LS_JSON[:9]}),
    piece(function={"arguments": LS_JSON[9:]}),
]


@pytest.mark.parametrize(
    ("pieces", "heard"),
    [
        pytest.param([*text(XML), *END], Heard("done", run=[LS]), id="leaked XML"),
        pytest.param(
            [*text("Look. ", HERMES), *END], Heard("done", "Look. ", run=[LS]), id="leaked JSON"
        ),
        pytest.param(
            [*text("<think>hm</think>a"), *END], Heard("done", "a", "hm"), id="thoughts in tags"
        ),
        pytest.param(
            [chunk({"reasoning": "hm"}), *ANSWER], Heard("done", "a", "hm"), id="thoughts beside"
        ),
        pytest.param(
            [*text("a"), chunk(finish="eos_token"), DONE],
            Heard("done", "a"),
            id="an unknown finish",
        ),
        pytest.param([*text("a"), chunk(finish="end"), DONE], Heard("done", "a"), id="end"),
        pytest.param(
            [*text("a"), STOP, *text("b"), DONE], Heard("done", "ab"), id="text after the finish"
        ),
        pytest.param([*text("a"), STOP], Heard("done", "a"), id="no [DONE]"),
        pytest.param([*text("a"), *PINGS, *END], Heard("done", "a"), id="pings"),
        pytest.param(
            [native(0, LS_JSON, id="c", name="shell"), STOP, DONE],
            Heard("done", run=[LS]),
            id="stop with a call",
        ),
        pytest.param(
            [
                native(0, LS_JSON, id="c", name="shell"),
                native(1, LS_JSON.replace("ls", "pwd"), id="c", name="shell"),
                CALLS,
                DONE,
            ],
            Heard("done", run=[LS, ("shell", {"command": "pwd", "timeout": 5000})]),
            id="one id for two calls",
        ),
        pytest.param(
            [
                piece(
                    index=0,
                    id="c",
                    function={"name": "shell", "arguments": {"command": "ls", "timeout": 5000}},
                ),
                CALLS,
                DONE,
            ],
            Heard("done", run=[LS]),
            id="arguments as an object",
        ),
        pytest.param(
            [*WITHOUT_INDEX, CALLS, DONE],
            Heard("done", run=[LS]),
            id="no index",
        ),
        pytest.param(
            [
                piece(index=0, id="", function={"name": ""}),
                piece(index=0, id="c", function={"name": "shell"}),
                piece(index=0, function={"arguments": LS_JSON}),
                CALLS,
                DONE,
            ],
            Heard("done", run=[LS]),
            id="name and id later",
        ),
        pytest.param(
            [native(0, "", id="c", name="shell"), CALLS, DONE],
            Heard("done", run=[("shell", {})]),
            id="no arguments",
        ),
    ],
)
async def test_an_answer_that_it_understands(pieces: list[bytes], heard: Heard) -> None:
    got = listen(await Road(stream(*pieces)).ask(**turn()))
    assert got.usage is not None
    assert (got.outcome, got.text, got.reasoning, got.run) == (
        heard.outcome,
        heard.text,
        heard.reasoning,
        heard.run,
    )


async def test_an_answer_that_was_cut() -> None:
    heard = listen(await Road(stream(*text("a"), chunk(finish="length"), DONE)).ask(**turn()))
    assert (heard.outcome, heard.text, heard.run) == ("done", "a", [])


async def test_a_refusal_in_the_stream_is_final() -> None:
    heard = listen(
        await Road(stream(*text("a"), event({"error": {"message": "no", "code": 400}}))).ask(
            **turn()
        )
    )
    assert (heard.outcome, heard.error) == ("given up", "no")


async def test_what_was_used() -> None:
    usage = listen(await Road(stream(*text("a"), STOP, USAGE, DONE)).ask(**turn())).usage
    assert usage == {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 7},
    }


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([*text("a")], id="no finish"),
        pytest.param([*text("a"), httpx.ReadError("reset")], id="a broken connection"),
        pytest.param(
            [*text("a"), event({"error": "out of memory"})], id="an error that is no object"
        ),
        pytest.param(
            [*text("a"), event({"error": {"message": "out of memory", "code": 500}})], id="an error"
        ),
        pytest.param([native(0, '{"command":', id="c", name="shell")], id="half a call"),
        pytest.param([], id="nothing"),
    ],
)
async def test_an_answer_that_is_asked_for_again_and_runs_nothing(pieces: list[Any]) -> None:
    heard = listen(await Road(stream(*pieces)).ask(**turn()))
    assert (heard.outcome, heard.run) == ("asked again", [])


async def test_a_call_that_was_whole_when_the_answer_broke_off_runs_once() -> None:
    """A call is complete when the next one starts; the last, incomplete one is not run."""
    pieces = [
        native(0, LS_JSON, id="c", name="shell"),
        native(1, '{"command":"rm', id="d", name="shell"),
    ]
    heard = listen(await Road(stream(*pieces)).ask(**turn()))
    assert (heard.outcome, heard.run) == ("done", [LS])


OVERFLOW = (
    "request (15003 tokens) exceeds the available context size (2048 tokens), try increasing it"
)


@KINDS
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(400, json={"error": {"message": OVERFLOW}}), "shortened"),
        (
            httpx.Response(400, json={"error": {"message": "bad", "type": "server_error"}}),
            "given up",
        ),
        (
            httpx.Response(
                400, json={"error": {"message": "the rate limit of this schema is 1500"}}
            ),
            "given up",
        ),
        (
            httpx.Response(
                400, json={"error": {"message": "the number of images exceeds the limit of 20"}}
            ),
            "given up",
        ),
        (httpx.Response(422, json={"detail": "too many requests in one"}), "given up"),
        (httpx.Response(401, json={"error": {"message": "Invalid API Key"}}), "given up"),
        (httpx.Response(403, json={"error": {"message": "no"}}), "given up"),
        (httpx.Response(404, json={"error": {"message": "model 'x' not found"}}), "given up"),
        (httpx.Response(500, json={"error": {"message": "out of memory"}}), "asked again"),
        (httpx.Response(503, json={"error": {"message": "Loading model"}}), "asked again"),
        (httpx.Response(429, json={"error": {"message": "slow down"}}), "asked again"),
        (httpx.Response(200, text="<html>"), "given up"),
        (httpx.ConnectError("refused"), "asked again"),
    ],
)
async def test_a_refusal_is_taken_for_what_it_is(answer: Any, outcome: str, kind: str) -> None:
    assert listen(await Road(answer, backend_kind=kind).ask(**turn())).outcome == outcome


async def test_an_overflow_in_the_stream_shortens_the_conversation() -> None:
    assert (
        listen(
            await Road(stream(event({"error": {"message": OVERFLOW, "code": 400}}))).ask(**turn())
        ).outcome
        == "shortened"
    )
    assert (
        listen(
            await Road(
                stream(*text("a"), event({"error": {"message": OVERFLOW, "code": 400}}))
            ).ask(**turn())
        ).outcome
        == "shortened"
    )


async def test_a_failure_of_the_template_is_final() -> None:
    failure = httpx.Response(
        500, json={"error": {"message": "Jinja Exception: no", "type": "server_error"}}
    )
    assert listen(await Road(failure, backend_kind="llama_cpp").ask(**turn())).outcome == "given up"


async def test_an_unknown_model_is_not_retryable() -> None:
    road = Road(
        stream(*ANSWER),
        others={"/v1/models": httpx.Response(200, json={"data": [{"id": "a"}, {"id": "b"}]})},
    )
    assert listen(await road.ask(**turn())).outcome == "given up"


async def test_its_headers_reach_the_backend_as_they_are() -> None:
    sent = {
        "x-opencode-session-id": "child",
        "x-opencode-parent-session-id": "p",
        "x-session-id": "p",
        "x-session-affinity": "p",
    }
    sent |= {
        "x-opencode-session": "s",
        "x-opencode-project": "j",
        "x-opencode-client": "cli",
        "user-agent": "opencode/2.0",
    }
    road = Road(stream(*ANSWER))
    await road.ask(headers=sent.items(), **turn())
    assert sent.items() <= dict(road.script.asked[-1].headers).items()
