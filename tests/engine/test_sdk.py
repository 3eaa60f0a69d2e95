"""OpenAI's own Python SDK over real HTTP: its helpers read our streams, and its exceptions our
errors.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ParsedFunctionToolCall

from tests.engine.conversation import CONTENT, PLAIN, THOUGHTS, TOOLS, question
from tests.engine.process import Proxy
from tests.patience import HANGS

# Its helper takes no others.
STRICT: list[Any] = [{"type": "function", "function": TOOLS[0]["function"] | {"strict": True}}]
SECONDS = HANGS


@pytest.fixture
def client(served: Proxy) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False, timeout=SECONDS)
    with openai.OpenAI(
        base_url=f"{served.url}/v1", api_key="unused", max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture
async def waiting_client(served: Proxy) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False, timeout=SECONDS)
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key="unused", max_retries=0, http_client=http
    ) as client:
        yield client


def asked(text: str, tools: list[Any] = TOOLS, **more: Any) -> dict[str, Any]:
    return question(text, tools=tools, **more)


def assert_whole(completion: ChatCompletion, thoughts: str | None = None) -> None:
    [choice] = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.role == "assistant"
    assert choice.message.content == CONTENT
    assert (choice.message.model_extra or {}).get("reasoning_content") == thoughts
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("bash", '{"command":"ls -la"}')
    assert completion.usage
    assert completion.usage.prompt_tokens > 100
    assert (
        completion.usage.total_tokens
        == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert completion.usage.prompt_tokens_details
    assert completion.usage.prompt_tokens_details.cached_tokens is not None


def test_the_helper_for_streams_reads_ours(client: openai.OpenAI) -> None:
    kinds: dict[str, int] = {}
    with client.chat.completions.stream(
        **asked("List them. /think", STRICT, stream_options={"include_usage": True})
    ) as stream:
        for event in stream:
            kinds[event.type] = kinds.get(event.type, 0) + 1
            if event.type == "tool_calls.function.arguments.done":
                assert (event.name, event.arguments, event.index) == (
                    "bash",
                    '{"command":"ls -la"}',
                    0,
                )
            elif event.type == "content.done":
                assert event.content == CONTENT
        completion = stream.get_final_completion()
    assert kinds["content.delta"] > 5
    assert kinds["tool_calls.function.arguments.delta"] > 2
    assert kinds["content.done"] == kinds["tool_calls.function.arguments.done"] == 1
    assert_whole(completion, THOUGHTS)
    [call] = completion.choices[0].message.tool_calls or []
    assert isinstance(call, ParsedFunctionToolCall)
    assert call.function.parsed_arguments == {"command": "ls -la"}


def test_plain_chunks_add_up(client: openai.OpenAI) -> None:
    state: Any = ChatCompletionStreamState(input_tools=STRICT)
    with client.chat.completions.create(
        **asked("List them. /think", stream=True, stream_options={"include_usage": True})
    ) as chunks:
        for chunk in chunks:
            state.handle_chunk(chunk)
    assert_whole(state.get_final_completion(), THOUGHTS)


def test_usage_is_not_sent_unasked(client: openai.OpenAI) -> None:
    with client.chat.completions.create(**asked("Hello", [], stream=True)) as chunks:
        read = list(chunks)
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in read)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in read) == PLAIN
    assert [chunk.choices[0].finish_reason for chunk in read[-2:]] == [None, "stop"]


def test_unstreamed(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**asked("List them. /think"))
    assert raw.headers["x-request-id"].startswith("req_")
    assert_whole(raw.parse(), THOUGHTS)


async def test_asynchronously(waiting_client: openai.AsyncOpenAI) -> None:
    assert_whole(await waiting_client.chat.completions.create(**asked("List them.")))
    async with waiting_client.chat.completions.stream(
        **asked("List them.", STRICT, stream_options={"include_usage": True})
    ) as stream:
        assert_whole(await stream.get_final_completion())


def test_models(client: openai.OpenAI) -> None:
    [model] = client.models.list()
    assert (model.id, model.owned_by) == ("tiny-toolcaller", "llamacpp")
    assert client.models.retrieve("tiny-toolcaller") == model
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("gpt-5")
    assert missing.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_that_is_too_long(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(
        openai.BadRequestError, match="exceeds the available context size"
    ) as refused:
        client.chat.completions.create(**asked("word " * 40_000, stream=stream))
    error = refused.value
    assert (error.status_code, error.code, error.type) == (
        400,
        "context_length_exceeded",
        "invalid_request_error",
    )
    assert isinstance(error.body, dict)
    assert error.body["n_prompt_tokens"] > error.body["n_ctx"] == 32768
    assert error.request_id
    assert error.request_id.startswith("req_")


def test_what_we_refuse_ourselves(client: openai.OpenAI) -> None:
    wrong: Any = {"messages": "Hello", "model": "m"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**wrong)
    assert (refused.value.code, refused.value.param) == ("invalid_request", "messages")
