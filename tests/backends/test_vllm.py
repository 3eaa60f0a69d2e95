"""vLLM without its parser of calls: the tools are offered all the same, and what the model
writes is read.
"""

import httpx
import pytest

from proxy.app import create_app
from proxy.backends.address import BackendAddress
from proxy.backends.http import HttpClient
from proxy.backends.provider import FixedProvider
from proxy.backends.vllm import Vllm
from proxy.chat_request.request import parse
from proxy.errors import BackendRefused
from proxy.settings import load
from tests.asgi import ask
from tests.backend import END, Backend, models, stream, text

CHAT = "/v1/chat/completions"
NEEDS_PARSER = (
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
)
REFUSAL = httpx.Response(
    400,
    json={
        "error": {"message": NEEDS_PARSER, "type": "BadRequestError", "param": None, "code": 400}
    },
)
TOOLS = [{"type": "function", "function": {"name": "bash"}}]


async def test_calls_come_without_its_parser() -> None:
    leaked = text('<tool_call>{"name": "bash", "arguments": ', '{"command": "ls"}}</tool_call>')
    behind = Backend(
        {
            "/v1/models": models("m", owner="vllm"),
            CHAT: [REFUSAL, stream(*leaked, *END), stream(*leaked, *END)],
        }
    )
    app = create_app(load({"BACKEND_URL": "http://10.0.0.5"}), transport=behind)
    for choice in ({"tool_choice": "auto"}, {}):
        answer = (await ask(app, CHAT, {"messages": [], "tools": TOOLS, **choice})).json["choices"][
            0
        ]
        assert answer["message"]["tool_calls"][0]["function"] == {
            "name": "bash",
            "arguments": '{"command":"ls"}',
        }
    assert [asked.get("tool_choice") for asked in behind.questions()] == ["auto", "none", "none"]


async def test_where_text_is_not_looked_at_the_refusal_stays_one() -> None:
    behind = Backend({"/v1/models": models("m", owner="vllm"), CHAT: REFUSAL})
    app = create_app(
        load({"BACKEND_URL": "http://10.0.0.5", "TOOL_PARSING": "native"}), transport=behind
    )
    answer = await ask(app, CHAT, {"messages": [], "tools": TOOLS})
    assert (answer.status, "--enable-auto-tool-choice" in answer.text) == (400, True)


async def test_any_other_refusal_stays_one() -> None:
    behind = Backend(
        {"/v1/models": models("m"), CHAT: httpx.Response(400, json={"error": {"message": "no"}})}
    )
    with pytest.raises(BackendRefused, match="no"):
        await Vllm(
            HttpClient(behind), FixedProvider(BackendAddress("http://10.0.0.5/v1"))
        ).send_chat(parse(b'{"messages": []}'), [])
    assert len(behind.questions()) == 1
