"""llama-cpp-python's own server with the tiny model, in an environment of its own, behind the whole
proxy.

`make test-llama-cpp-python`. There is no wheel of it: the first run builds it, which takes some
minutes and needs a C++ compiler.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import environments
from tests.acceptance.processes import bare_environment, running
from tests.acceptance.roads import MODEL, Road, proxy

REQUIREMENT = "llama-cpp-python[server]==0.3.36"
# What a tiny model on any processor needs, and no more: without images, without what only this
# machine's processor has.
BUILD = {
    "CMAKE_ARGS": (
        "-DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF -DGGML_NATIVE=OFF -DGGML_LLAMAFILE=OFF "
        "-DCMAKE_C_FLAGS=-O1 -DCMAKE_CXX_FLAGS=-O1"
    ),
    "CMAKE_BUILD_PARALLEL_LEVEL": "2",
}
LISTENING = re.compile(r"running on http://127\.0\.0\.1:(\d+)")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "bash",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
        },
    }
]
SECONDS = 60


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    home = tmp_path_factory.mktemp("llama-cpp-python")
    program = environments.python("llama-cpp-python-0.3.36", REQUIREMENT, **BUILD)
    options = [
        "--model",
        str(MODEL),
        "--model_alias",
        "tiny",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--n_ctx",
        "1024",
        "--n_threads",
        "1",
    ]
    command: list[str | Path] = [program, "-m", "llama_cpp.server", *options]
    with running(
        "llama-cpp-python", command, home / "server.log", home, bare_environment(home)
    ) as server:
        port = int(
            server.wait_for(lambda: LISTENING.search(server.output()), "address", SECONDS)[1]
        )
        with proxy("python", home / "proxy", BACKEND_URL=f"http://127.0.0.1:{port}") as (
            bridge,
            front,
        ):
            yield Road(bridge, front, engine=server)


def ask(road: Road, text: str, **fields: Any) -> httpx.Response:
    body = {
        "model": "my-model",
        "temperature": 0,
        "messages": [{"role": "user", "content": text}],
        "tools": TOOLS,
        **fields,
    }
    return httpx.post(
        f"{road.base_url}/chat/completions", json=body, timeout=SECONDS, trust_env=False
    )


def called(answer: httpx.Response) -> list[Any]:
    """The calls of a streamed answer that is whole, as its client reads them."""
    *lines, last = [
        line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")
    ]
    assert last == "[DONE]"
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == [
        "tool_calls"
    ]
    functions = [
        call["function"] for choice in choices for call in choice["delta"].get("tool_calls", [])
    ]
    return [
        functions[0]["name"],
        json.loads("".join(function["arguments"] for function in functions)),
    ]


def test_it_is_found_out_and_the_call_that_it_leaks_is_a_call(road: Road) -> None:
    health = httpx.get(f"{road.front.url}/health", timeout=SECONDS, trust_env=False).json()
    assert (health["status"], health["backend"], health["model"]) == (
        "ok",
        "llama_cpp_python",
        "tiny",
    )
    assert called(ask(road, "List the files, please.", stream=True)) == [
        "bash",
        {"command": "ls -la"},
    ], road.evidence()


def test_the_turn_after_a_call_as_the_sdk_of_openai_writes_it(road: Road) -> None:
    """This server refuses what is null, and does not know a developer."""
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "bash", "arguments": '{"command":"ls -la"}'},
    }
    messages = [
        {"role": "developer", "content": "You are a helpful assistant."},
        {"role": "user", "content": "List the files, please."},
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "README.md"}]},
    ]
    answer = ask(road, "", messages=messages)
    assert answer.status_code == 200, road.evidence()
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    refused = ask(road, "", messages=[{"role": "nobody", "content": "?"}])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages.0")


def test_for_a_client_that_does_not_stream(road: Road) -> None:
    answer = ask(road, "List the files, please.").json()
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"] == {
        "name": "bash",
        "arguments": '{"command":"ls -la"}',
    }
    assert answer["model"] == "my-model"
    assert answer["usage"]["completion_tokens"] > 0


def test_no_request_interrupts_the_answer_of_another(road: Road) -> None:
    """By itself this server ends an answer, in silence, as soon as anybody else asks for
    anything.
    """
    with ThreadPoolExecutor(8) as clients:
        answers = [
            clients.submit(ask, road, "List the files, please.", stream=True) for _ in range(12)
        ]
        lists = [
            clients.submit(httpx.get, f"{road.base_url}/models", timeout=SECONDS, trust_env=False)
            for _ in range(12)
        ]
    assert [called(answer.result()) for answer in answers] == [
        ["bash", {"command": "ls -la"}]
    ] * 12, road.evidence()
    assert {listed.result().json()["data"][0]["id"] for listed in lists} == {"tiny"}


def test_a_prompt_that_is_too_long(road: Road) -> None:
    refused = ask(road, "word " * 3000, stream=True)
    assert refused.status_code == 400, road.evidence()
    assert refused.json()["error"]["code"] == "context_length_exceeded"
