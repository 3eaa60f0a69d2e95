"""The openai SDK, its helpers included, reads what comes out: for every kind of server, every
answer of its table.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessage

from tests.asgi import Application, ask
from tests.backends.test_transcripts import CHAT, house, question
from tests.backends.transcripts import ANSWERS, KINDS, Entry

GOOD = [entry for entry in ANSWERS if "finish" in entry.means]
REFUSED = [entry for entry in ANSWERS if "error" in entry.means]
UNFINISHED: dict[str, type[openai.OpenAIError]] = {
    "length": openai.LengthFinishReasonError,
    "content_filter": openai.ContentFilterFinishReasonError,
}
BROKEN = [entry for entry in ANSWERS if "broken" in entry.means]


class Road(httpx2.AsyncBaseTransport):
    """From the SDK to the application, without a network."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        given = [
            (name, value)
            for name, value in request.headers.items()
            if name not in ("host", "content-length")
        ]
        call = await ask(
            self._application,
            request.url.path,
            await request.aread(),
            method=request.method,
            headers=given,
        )
        return httpx2.Response(
            call.status, headers=call.headers, content=call.body, request=request
        )


@asynccontextmanager
async def sdk(entry: Entry) -> AsyncIterator[openai.AsyncOpenAI]:
    app, _ = house(entry.kind, {CHAT: lambda _: entry.answer()})
    async with (
        httpx2.AsyncClient(transport=Road(app)) as http,
        openai.AsyncOpenAI(
            base_url="http://127.0.0.1:8081/v1", api_key="x", http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def asked(entry: Entry) -> dict[str, Any]:
    return question(entry, streamed=False)


def check(entry: Entry, message: ChatCompletionMessage, finish: str | None) -> None:
    means = entry.means
    assert (message.content or "") == means["text"]
    assert message.refusal == means.get("refusal")
    assert getattr(message, "reasoning_content", "") == means.get("thoughts", "")
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    whole = calls[: len(means.get("calls", []))]
    assert [
        [call.function.name, json.loads(call.function.arguments)] for call in whole
    ] == means.get("calls", [])
    assert finish == means["finish"]


@pytest.mark.parametrize("entry", GOOD, ids=str)
async def test_whole(entry: Entry) -> None:
    async with sdk(entry) as client:
        answer = await client.chat.completions.create(**asked(entry))
    check(entry, answer.choices[0].message, answer.choices[0].finish_reason)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None


@pytest.mark.parametrize(
    "entry", [entry for entry in GOOD if entry.means["finish"] not in UNFINISHED], ids=str
)
async def test_its_stream_helper(entry: Entry) -> None:
    async with (
        sdk(entry) as client,
        client.chat.completions.stream(
            **asked(entry), stream_options={"include_usage": True}
        ) as stream,
    ):
        kinds = [event.type async for event in stream]
        answer = await stream.get_final_completion()
    check(entry, answer.choices[0].message, answer.choices[0].finish_reason)
    assert kinds.count("tool_calls.function.arguments.done") == len(
        entry.means.get("calls", [])
    ) + entry.means.get("half", 0)
    assert answer.usage is not None


@pytest.mark.parametrize(
    "entry", [entry for entry in GOOD if entry.means["finish"] in UNFINISHED], ids=str
)
async def test_its_stream_helper_sees_what_is_not_finished(entry: Entry) -> None:
    async with sdk(entry) as client, client.chat.completions.stream(**asked(entry)) as stream:
        with pytest.raises(UNFINISHED[entry.means["finish"]]):
            await stream.get_final_completion()


@pytest.mark.parametrize("entry", REFUSED, ids=str)
async def test_refusals(entry: Entry) -> None:
    async with sdk(entry) as client:
        for streamed in (True, False):
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(**asked(entry), stream=streamed)
            assert (caught.value.status_code, caught.value.code) == (
                entry.means["error"]["status"],
                entry.means["error"]["code"],
            )


@pytest.mark.parametrize("entry", BROKEN, ids=str)
async def test_breaks(entry: Entry) -> None:
    async with sdk(entry) as client:
        with pytest.raises(openai.APIError, match=entry.means["broken"]):
            await read(await client.chat.completions.create(**asked(entry), stream=True))


async def read(stream: openai.AsyncStream[ChatCompletionChunk]) -> None:
    async for chunk in stream:
        assert chunk.choices[0].finish_reason is None


@pytest.mark.parametrize("kind", KINDS)
async def test_the_models(kind: str) -> None:
    async with sdk(next(entry for entry in GOOD if entry.kind == kind)) as client:
        listed = (await client.models.list()).data
        assert await client.models.retrieve(listed[0].id) == listed[0]
