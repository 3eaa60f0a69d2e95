"""Responses with status 200 that are not the requested stream, or start in an unusual form."""

import json
from typing import Any

import httpx
import pytest

from proxy.protocols import sse
from tests.backend import DONE, END, STOP, Piece, chunk, event, stream, text
from tests.web.round_trip import BOTH, Heard, Road, heard, payloads, refused, told, whole

ERROR = {"message": "the model has left", "type": "server_error", "code": 500}
COMPLETION = whole(
    {"content": "é all at once"}, usage={"prompt_tokens": 3, "completion_tokens": 2}
).content


@BOTH
@pytest.mark.parametrize("before", [b"", b"\n", b"\xef\xbb\xbf \r\n"])
@pytest.mark.parametrize("cut", [1, 30, len(COMPLETION)])
async def test_a_whole_completion_is_an_answer_that_came_at_once(
    streamed: bool, before: bytes, cut: int
) -> None:
    answer = await Road(
        stream(before, COMPLETION[:cut], COMPLETION[cut:], content_type="application/json")
    ).ask(streamed=streamed)
    assert heard(answer) == Heard("é all at once", finish="stop")
    assert (payloads(answer.body)[-2] if streamed else answer.json)["usage"]["total_tokens"] == 5


@BOTH
@pytest.mark.parametrize(
    "beginning",
    [
        b"\xef\xbb\xbf",
        b"\r\n\r\n",
        b" \n",
        b": ping\n\n",
        b":\n\n",
        b"id: 1\n",
        b"event: message\n",
        b"retry: 3000\n\n",
        b"data:\n\n",
        b"data: null\n\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 1000])
async def test_every_beginning_of_a_stream(streamed: bool, beginning: bytes, size: int) -> None:
    said = beginning + chunk({"content": "a"})
    pieces: list[Piece] = [said[at : at + size] for at in range(0, len(said), size)]
    assert await told(*pieces, *END, streamed=streamed) == Heard("a", finish="stop")


@BOTH
@pytest.mark.parametrize("ends", [b"\r\n", b"\r", b"\n"])
async def test_every_end_of_a_line_and_a_stream_that_calls_itself_something_else(
    streamed: bool, ends: bytes
) -> None:
    said = b"".join([chunk({"content": "a\u2028b"}), STOP, DONE]).replace(b"\n", ends)
    road = Road(stream(said[:50], said[50:], content_type="text/plain"))
    assert heard(await road.ask(streamed=streamed)) == Heard("a\u2028b", finish="stop")


@BOTH
@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (json.dumps({"error": ERROR}), 500, "backend_failed", "the model has left"),
        (
            json.dumps({"error": "Unexpected endpoint"}),
            502,
            "backend_failed",
            "Unexpected endpoint",
        ),
        (json.dumps({"error": {"message": "bad", "code": 400}}), 400, "backend_refused", "bad"),
        (
            json.dumps(
                {"object": "error", "message": "flat", "type": "BadRequestError", "code": 400}
            ),
            400,
            "backend_refused",
            "flat",
        ),
        (json.dumps({"error": {"message": "odd", "code": "weird"}}), 502, "backend_failed", "odd"),
        (
            json.dumps({"error": {"message": "both"}, "choices": [{"index": 0}]}),
            500,
            "backend_failed",
            "both",
        ),
        (json.dumps({"object": "list", "data": []}), 502, "backend_failed", '"object":"list"'),
        ("[1, 2]", 502, "backend_failed", "[1, 2]"),
        (event({"error": ERROR}).decode(), 500, "backend_failed", "the model has left"),
        (
            "event: error\n" + event({"error": ERROR}).decode(),
            500,
            "backend_failed",
            "the model has left",
        ),
        (f"error: {json.dumps(ERROR)}\n\n", 500, "backend_failed", "the model has left"),
        (
            ": ping\n\n" + event({"error": {"message": "x", "code": 400}}).decode(),
            400,
            "backend_refused",
            "x",
        ),
        (
            chunk({"content": "half"}).decode() + event({"error": ERROR}).decode(),
            500,
            "backend_failed",
            "the model has left",
        ),
    ],
)
async def test_an_error_that_calls_itself_200(
    streamed: bool, body: str, status: int, code: str, words: str
) -> None:
    answer = await Road(stream(body.encode())).ask(streamed=streamed)
    got, error = refused(answer)
    assert (got, error["code"]) == (status, code)
    assert words in error["message"]


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE html><html><body>Welcome",
        "OK",
        "dat",
        "da ta: x",
        '"text"',
        "404 page not found\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
async def test_what_is_neither_a_stream_nor_json(streamed: bool, body: str, size: int) -> None:
    pieces: list[Piece] = [body[at : at + size].encode() for at in range(0, len(body), size)]
    status, error = refused(
        await Road(stream(*pieces, content_type="text/html")).ask(streamed=streamed)
    )
    assert (status, error["code"]) == (502, "bad_answer")
    assert body not in error["message"]
    assert error["message"].endswith("check that BACKEND_URL is the base of its API")


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf\r\n",
        b": ping\n\n",
        DONE,
        b"data: junk\n\n",
        COMPLETION[:40],
        b'{"error": {"message": "ha',
    ],
    ids=repr,
)
async def test_a_body_without_an_answer(streamed: bool, body: bytes) -> None:
    """OpenCode would repeat a request without end if its answer were empty."""
    status, error = refused(await Road(stream(body)).ask(streamed=streamed))
    assert (status, error["code"]) == (502, "answer_interrupted")


@BOTH
async def test_a_line_without_end(streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LINE_LIMIT", 1000)
    status, error = refused(
        await Road(stream(b"data: ", *[b"x" * 100] * 20)).ask(streamed=streamed)
    )
    assert (status, error["code"]) == (502, "answer_interrupted")


@BOTH
@pytest.mark.parametrize(
    "choices",
    [[None], [{"index": 0, "message": {"content": "a"}, "finish_reason": None}], {"odd": 1}],
)
async def test_a_completion_that_does_not_say_that_it_is_finished(
    streamed: bool, choices: Any
) -> None:
    status, error = refused(
        await Road(httpx.Response(200, json={"choices": choices})).ask(streamed=streamed)
    )
    assert (status, error["code"]) == (502, "answer_interrupted")


@BOTH
async def test_an_empty_answer_is_an_answer(streamed: bool) -> None:
    assert await told(STOP, DONE, streamed=streamed) == Heard(finish="stop")
    assert heard(await Road(whole({"content": None})).ask(streamed=streamed)) == Heard(
        finish="stop"
    )


@BOTH
async def test_a_stream_without_its_last_blank_line(streamed: bool) -> None:
    assert await told(*text("a"), STOP.rstrip(), streamed=streamed) == Heard("a", finish="stop")
    assert await told(chunk({"content": "a"}, finish="stop").rstrip(), streamed=streamed) == Heard(
        "a", finish="stop"
    )
