"""One client's question, unchanged, before every kind of server: what each of them is asked
instead.
"""

from typing import Any

import pytest

from tests.asgi import ask
from tests.backend import END, stream
from tests.backends.test_transcripts import CHAT, house
from tests.backends.transcripts import KINDS

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("bash", "read")
]
CALL = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
PARTS = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
ANSWERED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
SIGNED = {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}
ASKED: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": "s"},
        {"role": "user", "content": PARTS},
        ANSWERED | {"reasoning_content": "r"} | SIGNED,
        {"role": "tool", "tool_call_id": "c1", "content": PARTS},
    ],
    "tools": TOOLS,
    "tool_choice": {"type": "function", "function": {"name": "bash"}},
    "max_completion_tokens": 99,
    "response_format": {"type": "json_object"},
    "stream": True,
}
ONLY_BASH = {"tools": TOOLS[:1], "tool_choice": "required"}
ANY_OBJECT = {
    "type": "json_schema",
    "json_schema": {"name": "object", "schema": {"type": "object"}},
}
MAX_TOKENS = {"max_completion_tokens": None, "max_tokens": 99}


def history(
    *, thoughts: str = "reasoning_content", content: Any = PARTS, nothing: str | None = None
) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "s"},
        {"role": "user", "content": content},
        ANSWERED | {"content": nothing, thoughts: "r"},
        {"role": "tool", "tool_call_id": "c1", "content": content},
    ]


DIFFERENCES: dict[str, dict[str, Any]] = {
    "generic": {},
    "zen": {},
    "vllm": {},
    "llama_cpp": {"return_progress": True, **ONLY_BASH},
    "lm_studio": {**ONLY_BASH, **MAX_TOKENS, "response_format": ANY_OBJECT},
    "llama_cpp_python": {
        "messages": history(content="one\ntwo", nothing=""),
        "repeat_penalty": 1.0,
        **MAX_TOKENS,
    },
    "ollama": {
        "messages": history(thoughts="reasoning", content="one\ntwo", nothing=""),
        **ONLY_BASH,
        **MAX_TOKENS,
    },
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_it_is_asked(kind: str) -> None:
    app, behind = house(kind, {CHAT: stream(*END)})
    client = [
        ("authorization", "Bearer client"),
        ("x-session-id", "ses_1"),
        ("user-agent", "opencode/1"),
        ("cookie", "c"),
    ]
    # Zen has several: one must be named.
    known = {"model": "glm-5.2" if kind == "zen" else "my-model"}
    assert (await ask(app, CHAT, ASKED | known, headers=client)).status == 200
    asked = behind.questions()[0]
    plain = ASKED | {"messages": history(), "stream_options": {"include_usage": True}}
    assert asked.pop("model") != "my-model"  # its only one
    assert asked == {
        key: value for key, value in (plain | DIFFERENCES[kind]).items() if value is not None
    }
    sent = behind.asked[-1].headers
    assert (sent["user-agent"], sent["x-session-id"], sent.get("cookie")) == (
        "opencode/1",
        "ses_1",
        None,
    )
    assert sent.get("x-opencode-session") == ("ses_1" if kind == "zen" else None)
    assert sent.get("authorization") == ("Bearer public" if kind == "zen" else None)
