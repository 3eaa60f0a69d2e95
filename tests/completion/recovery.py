"""A llama.cpp whose own parser gives up, and the road before it."""

import json
from typing import Any

import httpx
import pytest

from tests.asgi import Call
from tests.backend import END, ROLE, Piece, event, stream
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import CHAT, Road, heard
from tests.web.test_chat_calls import JSON, WATERED, letters

COMPLETION, TEMPLATE, PROPS, TOKENIZE = "/completion", "/apply-template", "/props", "/tokenize"
FAILED = "The model produced output that does not match the expected peg-native format"
SCHEMA = 'JSON schema error at #/properties/a: unresolved reference "#/x"'
JINJA = "Jinja Exception: roles must alternate"


def error(message: str = FAILED, code: int = 500) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": "server_error"}}


def refuses(message: str = FAILED, status: int = 500) -> httpx.Response:
    return httpx.Response(status, json=error(message, status))


def gives_up(*said: Piece, message: str = FAILED) -> httpx.Response:
    """Accepts, says this, and then that it cannot parse what the model said."""
    return stream(ROLE, *said, event(error(message)))


SAID = "So: " + JSON
FAILURES = pytest.mark.parametrize("failure", ["event", "event after the role", "500", "400"])


def failure_of(kind: str) -> httpx.Response:
    """Nothing was said, and the parser gives up."""
    kinds = {
        "event": stream(event(error())),
        "event after the role": gives_up(),
        "500": refuses(),
        "400": refuses(FAILED, 400),
    }
    return kinds[kind]


def answers(said: str = SAID) -> httpx.Response:
    return stream(ROLE, *letters(said), *END)


def watered(call: Call, content: str = "So:", thoughts: str = "") -> bool:
    answer = heard(call)
    assert (answer.content.strip(), answer.reasoning, answer.made, answer.finish) == (
        content,
        thoughts,
        [WATERED],
        "tool_calls",
    )
    return True


def renders(body: Any) -> httpx.Response:
    """ChatML; an answer that has begun stands open at the end."""
    lines = [f"<|im_start|>{m['role']}\n{_thoughts(m)}{m['content']}" for m in body["messages"]]
    if body["messages"][-1]["role"] != "assistant":
        lines.append("<|im_start|>assistant\n")
    return httpx.Response(200, json={"prompt": "<|im_end|>\n".join(lines)})


def _thoughts(message: Any) -> str:
    thoughts, content = message.get("reasoning_content", ""), message["content"]
    return f"<think>\n{thoughts}" + ("\n</think>\n\n" if content else "") if thoughts else ""


def llama(
    *answers: Any,
    props: Any = None,
    template: Any = renders,
    completion: Any = None,
    **options: str,
) -> Road:
    others = {
        PROPS: httpx.Response(200, json={"chat_template": "<|im_start|>"})
        if props is None
        else props,
        COMPLETION: refuses("nobody should ask this") if completion is None else completion,
    }
    road = Road(*answers, others=others, **{"backend_kind": "llama_cpp"} | options)
    road.script.on(
        {
            TEMPLATE: (lambda request: renders(json.loads(request.content)))
            if template is renders
            else template
        }
    )
    return road


def losing(*answers: Any, **more: Any) -> Road:
    """Its chat route loses the calls that were not asked for."""
    return llama(
        *answers,
        props=httpx.Response(200, json={"chat_template": "<|channel|><tool_call>"}),
        **more,
    )


def asked(road: Road) -> list[Any]:
    """All questions that a model had to answer."""
    return [*road.script.questions(CHAT), *road.script.questions(COMPLETION)]


def is_raw(question: Any) -> bool:
    return bool(
        question.get("tool_choice") == "none"
        and question.get("reasoning_format") == "none"
        and question["tools"] == TOOLS
    )


async def ask(road: Road, **fields: Any) -> Call:
    return await road.ask(**{"tools": TOOLS} | fields)
