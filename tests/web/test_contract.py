"""The form of an answer, which is the same for every client and every backend."""

import asyncio
import time
from typing import Any

import pytest

from tests.backend import DONE, END, ROLE, STOP, USAGE, Piece, chunk, event, script_of, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, Heard, Road, heard, native, payloads, told, whole

CALL = [native(0, "", id="c1", name="list_drones"), native(0, '{"a":'), native(0, " 1}")]


async def test_the_order_of_a_stream() -> None:
    thoughts = [chunk({"reasoning_content": "let me"}), chunk({"reasoning_content": " see"})]
    call = await Road(
        stream(ROLE, *thoughts, *text("So", ": "), *CALL, chunk(finish="tool_calls"), USAGE, DONE)
    ).ask(tools=TOOLS)
    *chunks, usage, done = payloads(call.body)
    choices = [one["choices"][0] for one in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "let me"},
        {"reasoning_content": " see"},
        {"content": "So"},
        {"content": ": "},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "list_drones", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " 1"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 9 + ["tool_calls"]
    assert usage["choices"] == []
    assert done == "[DONE]"
    assert call.complete


@BOTH
async def test_an_answer_has_one_id_of_ours_one_time_and_the_model_that_was_asked_for(
    streamed: bool,
) -> None:
    road = Road(stream(chunk({"content": "a"}, model="theirs"), *END), stream(*text("a"), *END))
    before = int(time.time())
    first, second = [await road.ask(streamed=streamed, model="the client's name") for _ in range(2)]
    for answer in (first, second):
        heard(answer)  # checks that id, time and model are equal in all chunks
    said = [payloads(answer.body)[0] if streamed else answer.json for answer in (first, second)]
    assert [one["model"] for one in said] == ["the client's name"] * 2
    assert said[0]["id"] != said[1]["id"]
    assert all(
        one["id"].startswith("chatcmpl-") and before <= one["created"] <= time.time()
        for one in said
    )


@BOTH
@pytest.mark.parametrize(
    ("options", "more", "named"),
    [
        ({}, {"model": "theirs"}, "theirs"),
        ({"backend_model": "chosen"}, {"model": "theirs"}, "chosen"),
        ({}, {"model": None}, "unknown"),
    ],
)
async def test_a_client_that_names_no_model_learns_which_one_answers(
    streamed: bool, options: dict[str, str], more: dict[str, Any], named: str
) -> None:
    answer = await Road(
        stream(chunk({"content": "a"}, **more), chunk(finish="stop", **more), DONE), **options
    ).ask(streamed=streamed, model=None)
    assert heard(answer).content == "a"
    assert (payloads(answer.body)[0] if streamed else answer.json)["model"] == named


@BOTH
@pytest.mark.parametrize(
    ("theirs", "called", "ours"),
    [
        ("stop", False, "stop"),
        ("length", False, "length"),
        ("content_filter", False, "content_filter"),
        ("eos_token", False, "stop"),
        ("function_call", False, "stop"),
        ("tool_calls", False, "stop"),
        ("stop", True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("eos_token", True, "tool_calls"),
    ],
)
async def test_four_reasons_to_finish(streamed: bool, theirs: str, called: bool, ours: str) -> None:
    said = CALL if called else text("a")
    assert (
        await told(*said, chunk(finish=theirs), DONE, streamed=streamed, tools=TOOLS)
    ).finish == ours


@BOTH
@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            USAGE,
            {
                "prompt_tokens": 20,
                "completion_tokens": 5,
                "total_tokens": 25,
                "prompt_tokens_details": {"cached_tokens": 7},
            },
        ),
        (
            event(
                {
                    "choices": [],
                    "usage": {"prompt_tokens": 2, "completion_tokens": 1, "cached_tokens": 1},
                }
            ),
            {
                "prompt_tokens": 2,
                "completion_tokens": 1,
                "total_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 1},
            },
        ),
        (
            event(
                {
                    "usage": {
                        "prompt_tokens": 2,
                        "completion_tokens": 1,
                        "completion_tokens_details": {"reasoning_tokens": 1},
                    }
                }
            ),
            {
                "prompt_tokens": 2,
                "completion_tokens": 1,
                "total_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        ),
    ],
)
async def test_usage_always_says_how_much_was_cached(
    streamed: bool, usage: bytes, counts: dict[str, Any]
) -> None:
    answer = await Road(stream(*text("a"), STOP, usage, DONE)).ask(streamed=streamed)
    assert (payloads(answer.body)[-2] if streamed else answer.json)["usage"] == counts


@BOTH
@pytest.mark.parametrize("kind", ["generic", "llama_cpp", "vllm"])
async def test_usage_that_is_reported_twice_counts_once(streamed: bool, kind: str) -> None:
    def usage(completion: int) -> dict[str, Any]:
        return {"usage": {"prompt_tokens": 20, "completion_tokens": completion}}

    reports = [
        chunk({"content": "a"}, **usage(1)),
        chunk({"content": "b"}, **usage(2)),
        chunk(finish="stop", **usage(3)),
    ]
    road = Road(
        stream(
            *reports, event({"choices": []} | usage(3)), event({"choices": []} | usage(3)), DONE
        ),
        backend_kind=kind,
    )
    answer = await road.ask(streamed=streamed)
    counted = (payloads(answer.body)[-2] if streamed else answer.json)["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"], counted["total_tokens"]) == (
        20,
        3,
        23,
    )


@BOTH
async def test_a_backend_that_counts_nothing_is_estimated(streamed: bool) -> None:
    """With a count of zero, a client would never shorten the conversation."""
    answer = await Road(stream(*text("a" * 400), STOP, DONE)).ask(
        streamed=streamed, messages=[{"role": "user", "content": "b" * 4000}]
    )
    usage = (payloads(answer.body)[-2] if streamed else answer.json)["usage"]
    assert usage["completion_tokens"] == 100
    assert 1000 <= usage["prompt_tokens"] < 1100
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


async def test_who_did_not_ask_for_usage_gets_none_in_a_stream() -> None:
    for options in (None, {}, {"include_usage": False}):
        answer = await Road(stream(*text("a"), *END)).ask(stream_options=options)
        assert heard(answer).content == "a"
        assert b"usage" not in answer.body


@BOTH
async def test_foreign_extras_are_dropped(streamed: bool) -> None:
    delta: dict[str, Any] = {
        "role": None,
        "content": "a",
        "function_call": None,
        "tool_calls": None,
        "refusal": None,
        "audio": {},
    }
    pieces: list[Piece] = [
        chunk(
            delta,
            timings={"predicted_n": 1},
            system_fingerprint="b1",
            __verbose={"prompt": "x"},
            usage=None,
            service_tier="x",
        ),
        chunk({"content": "b"}, cost="0.1", provider="p"),
        chunk(finish="stop", timings={"predicted_n": 2}),
        DONE,
        event({"choices": [], "cost": "0.000"}),
    ]
    # `heard` fails on keys that are not part of the contract.
    assert await told(*pieces, streamed=streamed) == Heard("ab", finish="stop")


@BOTH
async def test_lines_that_are_no_chunk_are_dropped(streamed: bool) -> None:
    junk: list[Piece] = [
        b"data:\n\n",
        b"data: \n\n",
        event({"type": "ping"}),
        event(b"[1, 2]"),
        event({"choices": None}),
        event({"id": "x"}),
        b": ping - 2026\n\n",
        b"event: message\nid: 5\nretry: 100\n\n",
        b"nonsense\n\n",
        chunk({"content": ""}),
        chunk(),
    ]
    between = [piece for letter in ("a", "b", "c") for piece in (*junk, *text(letter))]
    assert await told(*between, *junk, *END, streamed=streamed) == Heard("abc", finish="stop")


@BOTH
@pytest.mark.parametrize(
    "end",
    [
        [STOP],
        [STOP, DONE, DONE],
        [STOP, DONE, *text("late"), STOP],
        [STOP + DONE + chunk({"content": "late"})],
        [STOP, b"data: [DONE]"],
    ],
)
async def test_the_end_is_sent_once_and_last(streamed: bool, end: list[Piece]) -> None:
    assert await told(*text("a"), *end, streamed=streamed) == Heard("a", finish="stop")


@BOTH
async def test_a_backend_that_does_not_hang_up_after_its_last_word_is_not_waited_for(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.completion.session._DRAIN_TIMEOUT", 0.05)
    response = stream(*text("a"), *END, asyncio.Event())
    call = Road(response).begin(streamed=streamed)
    await call.until(lambda call: call.complete)
    assert heard(call) == Heard("a", finish="stop")
    await call.done()
    assert script_of(response).closed


async def test_what_comes_after_the_last_word_is_read_so_that_the_connection_stays() -> None:
    response = stream(
        *text("a"), *END, event({"choices": [], "cost": "0"}), event({"choices": [], "cost": "0"})
    )
    await Road(response).ask()
    assert script_of(response).sent == 6


@BOTH
async def test_a_repeated_name_or_id_is_sent_once(streamed: bool) -> None:
    pieces = [native(0, part, id="c1", name="list_drones") for part in ('{"a"', ":1", "}")]
    answer = await told(*pieces, chunk(finish="tool_calls"), streamed=streamed, tools=TOOLS)
    assert [tuple(call) for call in answer.calls] == [("c1", "list_drones", '{"a":1}')]


@BOTH
async def test_ids_are_unique_in_the_whole_conversation(streamed: bool) -> None:
    history = [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "old", "type": "function", "function": {}}],
        }
    ]
    twice = [
        native(index, "{}", id=id, name="list_drones")
        for index, id in enumerate(("old", "new", "new", ""))
    ]
    answer = await told(
        *twice, chunk(finish="tool_calls"), streamed=streamed, tools=TOOLS, messages=history
    )
    ids = [call.id for call in answer.calls]
    assert ids[1] == "new"
    assert len({*ids, "old"}) == 5
    assert all(id.startswith("call_") for id in (ids[0], ids[2], ids[3]))


@BOTH
async def test_logprobs_are_kept(streamed: bool) -> None:
    def said(letter: str) -> bytes:
        choice = {
            "index": 0,
            "delta": {"content": letter},
            "logprobs": {"content": [{"token": letter}]},
            "finish_reason": None,
        }
        return event({"choices": [choice]})

    answer = await Road(stream(said("a"), said("b"), *END)).ask(streamed=streamed, logprobs=True)
    assert heard(answer).content == "ab"
    choices = (
        [choice for one in payloads(answer.body)[:-1] for choice in one["choices"]]
        if streamed
        else answer.json["choices"]
    )
    tokens = [
        token["token"]
        for choice in choices
        for token in (choice.get("logprobs") or {"content": []})["content"]
    ]
    assert tokens == ["a", "b"]


async def test_a_whole_answer_keeps_its_text_beside_a_call() -> None:
    call = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "list_drones", "arguments": "{}"},
    }
    answer = await Road(whole({"content": "So:", "tool_calls": [call]}, "tool_calls")).ask(
        streamed=False, tools=TOOLS
    )
    assert answer.json["choices"][0]["message"]["content"] == "So:"
    answer = await Road(whole({"content": "", "tool_calls": [call]}, "tool_calls")).ask(
        streamed=False, tools=TOOLS
    )
    assert answer.json["choices"][0]["message"]["content"] is None
