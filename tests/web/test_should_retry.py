"""`x-should-retry`: sent with errors that a retry cannot fix, and never with an answer."""

from typing import Any

import httpx
import pytest

from tests.asgi import Call, ask
from tests.backend import END, Backend, event, models, stream, text
from tests.bridge import bridge
from tests.web.raw_http import Connect
from tests.web.round_trip import BOTH, CHAT, MODELS, QUESTION, Road

NO = "x-should-retry"


async def asked(answer: Any = None, streamed: bool = True, **fields: Any) -> Call:
    return await Road(answer if answer is not None else stream(*text("a"), *END)).ask(
        streamed=streamed, **fields
    )


@BOTH
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 501])
async def test_a_refusal_of_the_backend(status: int, streamed: bool) -> None:
    assert (
        await asked(httpx.Response(status, json={"error": {"message": "no"}}), streamed)
    ).headers[NO] == "false"


@BOTH
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
async def test_a_passing_trouble_of_the_backend(status: int, streamed: bool) -> None:
    assert (
        NO
        not in (
            await asked(httpx.Response(status, json={"error": {"message": "no"}}), streamed)
        ).headers
    )


@BOTH
async def test_errors_of_the_backend_itself(streamed: bool) -> None:
    quota = httpx.Response(
        429, json={"error": {"message": "no"}}, headers={NO: "false", "retry-after": "9"}
    )
    headers = (await asked(quota, streamed)).headers
    assert (headers[NO], headers["retry-after"]) == ("false", "9")


@BOTH
async def test_an_overflow_keeps_its_message(streamed: bool) -> None:
    sentence = (
        "request (15003 tokens) exceeds the available context size (2048 tokens), try increasing it"
    )
    call = await asked(httpx.Response(400, json={"error": {"message": sentence}}), streamed)
    assert (call.json["error"]["message"], call.headers[NO]) == (sentence, "false")


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        (CHAT, b"{", [], 400),
        (CHAT, QUESTION | {"model": "b"}, [], 401),
        (CHAT, QUESTION | {"model": "unknown"}, [("authorization", "Bearer key")], 404),
        (CHAT, None, [("authorization", "Bearer key")], 405),
        ("/v1/models/unknown", None, [("authorization", "Bearer key")], 404),
        (CHAT, QUESTION, [("host", "evil.example")], 403),
    ],
)
async def test_refusals_of_our_own(
    path: str, body: Any, headers: list[tuple[str, str]], status: int
) -> None:
    app = bridge(
        Backend({MODELS: models("b", "c")}), proxy_api_keys="" if status in (400, 403) else "key"
    )
    call = await ask(app, path, body, headers=headers)
    assert (call.status, call.headers[NO]) == (status, "false")


async def test_a_request_that_cannot_be_read_at_all(connect: Connect) -> None:
    client = await connect()
    await client.send(b"nonsense\r\n\r\n")
    status, headers, _ = await client.answer()
    assert (status, headers[NO]) == (400, "false")


@BOTH
async def test_never_beside_an_answer(streamed: bool) -> None:
    for pieces in (
        [*text("a"), *END],
        [*text("a"), event({"error": {"message": "no", "code": 400}})],
        [*text("a")],
    ):
        call = await asked(stream(*pieces), streamed)
        assert (call.status == 200) == (streamed or pieces[-1] == END[-1])
        assert (NO in call.headers) == (call.status == 400)


async def test_a_server_that_is_not_there_may_come() -> None:
    assert NO not in (await asked(httpx.ConnectError("refused"))).headers
