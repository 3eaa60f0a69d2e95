"""Integers beyond 64 bits pass through the proxy unchanged."""

import asyncio

import httpx
import pytest

from proxy.web import chat
from proxy.web.chat import StreamStartTimeouts
from tests.backend import DONE, END, chunk, event, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import BOTH, COUNT, Road, heard, refused, whole

BIG = 123456789012345678901234567890
KINDS = ("generic", "llama_cpp", "ollama", "llama_cpp_python")


@pytest.mark.parametrize("kind", KINDS)
async def test_in_what_the_client_asks(kind: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": BIG}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    road = Road(stream(*text("a"), *END), backend_kind=kind)
    messages = [{"role": "user", "content": "hi \ud83d", "at": -BIG}]
    assert heard(await road.ask(tools=tools, messages=messages)).content == "a"
    (asked,) = road.script.questions()
    assert asked["tools"][0]["function"]["parameters"] == schema
    assert asked["messages"][0]["at"] == -BIG


async def test_in_what_is_counted_before_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        chat, "StreamStartTimeouts", lambda: StreamStartTimeouts(before_counting=0.02)
    )
    counted = asyncio.Event()

    def counts(_: httpx.Request) -> httpx.Response:
        counted.set()
        return httpx.Response(200, json={"input_tokens": 1})

    road = Road(
        lambda _: stream(counted, *text("a"), *END),
        others={COUNT: counts},
        backend_kind="llama_cpp",
    )
    assert heard(await road.ask(my_id=BIG)).content == "a"
    assert [question["my_id"] for question in road.script.questions(COUNT)] == [BIG]


CALL = {
    "index": 0,
    "id": "c",
    "type": "function",
    "function": {"name": "f", "arguments": {"n": BIG}},
}
ANNOTATIONS = [{"type": "mark", "at": BIG}]


@BOTH
@pytest.mark.parametrize("answer", ["streamed", "whole"])
async def test_in_what_the_backend_answers(answer: str, streamed: bool) -> None:
    calls = {"content": "", "tool_calls": [CALL]}
    road = Road(
        stream(chunk(calls), chunk(finish="tool_calls"), DONE)
        if answer == "streamed"
        else whole(calls, "tool_calls")
    )
    assert heard(await road.ask(streamed=streamed, tools=TOOLS)).made == [("f", {"n": BIG})]


@BOTH
async def test_beside_the_text(streamed: bool) -> None:
    got = await Road(stream(chunk({"content": "a", "annotations": ANNOTATIONS}), *END)).ask(
        streamed=streamed
    )
    assert got.text.count(str(BIG)) == 1


@BOTH
async def test_in_an_error(streamed: bool) -> None:
    failure = event({"error": {"message": "no", "code": 400, "limit": BIG}})
    status, error = refused(await Road(stream(failure)).ask(streamed=streamed))
    assert (status, error["message"]) == (400, "no")
